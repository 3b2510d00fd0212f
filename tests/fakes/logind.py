"""A logind without a bus: it says what a test has it say, and gives locks that are pipes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable

from inglenook.power.login1 import Inhibitor, LogindRefused, LogindSignal


class FakeLogind:
    """Stands for `open_logind` and the `LogindBus` it gives.

    Attributes:
        say: Tells the news to whoever is connected last.
        suspended: How often it was told to suspend the board.
        refuses: Whether it does not.
    """

    delay_s = 5.0
    preparing = False
    connected = True

    def __init__(self) -> None:
        self.say: Callable[[LogindSignal], None] = lambda _news: None
        self.suspended = 0
        self.refuses = False
        self._ends: list[int] = []

    @contextlib.asynccontextmanager
    async def open(self, heard: Callable[[LogindSignal], None]) -> AsyncIterator[FakeLogind]:
        """See `open_logind`."""
        self.say = heard
        yield self

    async def inhibit(self, what: str, who: str, why: str, mode: str) -> int:
        """See `LogindBus.inhibit`."""
        ours, theirs = os.pipe()
        self._ends.append(ours)
        return theirs

    async def keepers(self) -> list[Inhibitor]:
        """See `LogindBus.keepers`."""
        return []

    async def can_suspend(self) -> str:
        """See `LogindBus.can_suspend`."""
        return "yes"

    async def suspend(self) -> None:
        """See `LogindBus.suspend`."""
        self.suspended += 1
        if self.refuses:
            raise LogindRefused("somebody keeps the board awake")

    def close(self) -> None:
        """Close what is left of the locks."""
        for end in self._ends:
            os.close(end)
        self._ends.clear()
