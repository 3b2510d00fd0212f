"""Paired devices, their tokens, pairing, TLS certificates, and network access rules."""
