"""Model files: whether they are sound, whether they fit, and where the first one comes from."""
