"""Events that the announcer waits for: a time, or a change. Kind: hands."""

from __future__ import annotations

import asyncio
import math

from inglenook.discovery.pacing import Burst

# Netlink reports changes at once; polling is for sandboxes without it.
POLL_S = 30.0


class AnnouncerEvents:
    """Wakes the announcer; holds the time of its next look at the network."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._burst = Burst()
        self._looked_s = -math.inf

    def wake(self) -> None:
        """Wake the announcer."""
        self._wake.set()

    def network_changed(self) -> None:
        """Record a change of links or addresses."""
        self._burst.heard(asyncio.get_running_loop().time())
        self._wake.set()

    def forget(self) -> None:
        """Make the next look due at once, as at the start."""
        self._looked_s = -math.inf

    def look_begun(self) -> None:
        """Record a look at the network."""
        self._burst.clear()
        self._looked_s = asyncio.get_running_loop().time()

    @property
    def look_at_s(self) -> float:
        """Time of the next look at the network (loop time): once a change is over."""
        return min(self._looked_s + POLL_S, self._burst.over_at_s())

    @property
    def settled_at_s(self) -> float:
        """Time when the present change will be over (loop time); infinity if there is none."""
        return self._burst.over_at_s()

    async def wait_until(self, at_s: float) -> None:
        """Wait for that loop time, or to be woken."""
        try:
            async with asyncio.timeout_at(at_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
