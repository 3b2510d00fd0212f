"""The model, in its own process; everything above sees only ``orders``."""
