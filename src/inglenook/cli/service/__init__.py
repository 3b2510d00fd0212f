"""The systemd service: installing, removing, its state."""
