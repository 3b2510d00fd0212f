"""A client of the box: finding it, pairing, streaming and resuming."""
