"""Time that passes, less what the machine kept everybody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TICK_S = 0.02


class Stopwatch:
    """For what is to come within a time, on machines that now and then stand still for longer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._due_s = self._began_s + _TICK_S
        self._stalled_s = 0.0

    def elapsed_s(self) -> float:
        """Seconds since the start in which this program ran when it wanted to."""
        now = self._loop.time()
        return now - self._began_s - self._stalled_s - max(0.0, now - self._due_s)

    async def run(self) -> None:
        """Tick, and count how late each tick came; until cancelled."""
        while True:
            await asyncio.sleep(self._due_s - self._loop.time())
            now = self._loop.time()
            self._stalled_s += max(0.0, now - self._due_s)
            self._due_s = now + _TICK_S


@asynccontextmanager
async def stopwatch() -> AsyncIterator[Stopwatch]:
    """Start one; it runs until the end of the block."""
    watch = Stopwatch()
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(watch.run(), name="stopwatch")
        try:
            yield watch
        finally:
            ticking.cancel()
