"""What every package may use: errors, units, files, locks, guards."""
