"""The engine's child process; the only place that touches llama.cpp."""
