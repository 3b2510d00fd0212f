"""Output and input of a terminal."""
