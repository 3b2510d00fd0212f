"""The KV pool and the accounting of its cells."""
