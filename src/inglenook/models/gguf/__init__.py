"""GGUF files, read with explicit bounds."""
