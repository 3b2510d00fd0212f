"""Temperature sensors: found, read, and assessed."""
