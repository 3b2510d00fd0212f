"""What was read stays read: states of prompts beyond the pool, in memory and on disk."""
