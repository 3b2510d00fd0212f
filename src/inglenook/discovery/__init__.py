"""Makes the box findable on the local network."""
