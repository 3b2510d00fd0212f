"""Speculative decoding by prompt lookup."""
