"""Chat requests, parsed and checked; the profiles of model families."""
