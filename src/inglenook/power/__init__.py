"""Sleep when idle, wake when called."""
