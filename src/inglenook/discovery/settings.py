"""Settings of the announcement. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Whether and how the box announces itself.

    Attributes:
        enabled: Announce the box on the local network.
        mac: Put its wired MAC address into the announcement, so that phones can wake it.
    """

    enabled: bool = True
    mac: bool = True
