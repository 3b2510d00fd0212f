"""Memory: read, and the ladder of what a shortage forbids."""
