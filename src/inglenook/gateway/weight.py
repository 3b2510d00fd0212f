"""Whose questions come first when the box is busy. Kind: rules."""

from __future__ import annotations

from inglenook.auth.devices import Device, Scope


def weight_of(device: Device) -> float:
    """A device's share of service: who looks after the box gets twice what others get."""
    return 2.0 if Scope.ADMIN in device.scopes else 1.0
