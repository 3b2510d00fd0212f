"""What the announcer waits for: a time, or something new. Kind: hands."""

from __future__ import annotations

import asyncio
import math

from inglenook.discovery.pacing import Burst

# Netlink tells of changes at once; polling is for sandboxes without it.
POLL_S = 30.0


class AnnouncerEvents:
    """Wakes whoever waits; remembers when the network is to be looked at."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._burst = Burst()
        self._looked_s = -math.inf

    def wake(self) -> None:
        """Wake whoever waits."""
        self._wake.set()

    def network_changed(self) -> None:
        """Note that links or addresses are changing."""
        self._burst.heard(asyncio.get_running_loop().time())
        self._wake.set()

    def forget(self) -> None:
        """Have the network looked at next, as if for the first time."""
        self._looked_s = -math.inf

    def look_begun(self) -> None:
        """Note that the network is looked at now."""
        self._burst.clear()
        self._looked_s = asyncio.get_running_loop().time()

    @property
    def look_at_s(self) -> float:
        """When the network is to be looked at (loop time): once it is quiet after a change."""
        return min(self._looked_s + POLL_S, self._burst.over_at_s())

    @property
    def settled_at_s(self) -> float:
        """When the network will have changed (loop time); infinity if nothing is going on."""
        return self._burst.over_at_s()

    async def wait_until(self, at_s: float) -> None:
        """Wait for that loop time, or for news."""
        try:
            async with asyncio.timeout_at(at_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
