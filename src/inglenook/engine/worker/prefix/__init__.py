"""The prefix cache: states of prompts that left the KV pool, in RAM and on disk."""
