"""Which sequences are in the pool, and which tokens a step computes."""
