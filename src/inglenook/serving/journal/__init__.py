"""The journal: responses on disk."""
