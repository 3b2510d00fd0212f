"""The wire contract with phones: messages, their limits, and the life of a connection."""
