"""Continuous batching: the batch, sampling, and the text of answers."""
