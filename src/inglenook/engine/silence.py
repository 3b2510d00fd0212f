"""How long an engine may be silent, and what is done between two may take. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from inglenook.engine.failures import WorkerSilent
from inglenook.engine.timeouts import Timeouts

#: A silent engine is killed at once, and between engines there is little to do; what is not over so
#: much later hangs, seconds.
_OVERDUE_S = 10.0

#: A silence may be borne for so much less than its phase allows, as a share of that.
_TIMER_SLACK = 0.02


class SilenceWatch:
    """Timer of the signs of life that are due.

    Attributes:
        timeouts: How long to wait for them.
        timer: Expires when the engine was silent for too long; None while none is watched.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        """Nothing is due."""
        self.timeouts = timeouts
        self.timer: asyncio.Timeout | None = None
        self._borne_s = 0.0
        self._due_s: float | None = None

    def overdue(self, now: float) -> bool:
        """See `Supervisor.overdue`."""
        due_s = self._due_s if self.timer is None else self.timer.when()
        return due_s is not None and now - due_s > _OVERDUE_S

    @contextmanager
    def due_in(self, within_s: float) -> Iterator[None]:
        """What is done in this block must be over within that many seconds."""
        self._due_s = asyncio.get_running_loop().time() + within_s
        try:
            yield
        finally:
            self._due_s = None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch an engine in this block, from its start.

        Raises:
            WorkerSilent: If it is silent for longer than it may be.
        """
        try:
            async with asyncio.timeout(self.timeouts.hello_s) as self.timer:
                self._borne_s = self.timeouts.hello_s
                yield
        except TimeoutError:
            raise WorkerSilent(self._borne_s) from None
        finally:
            self.timer = None

    def bear(self, silence_s: float | None) -> None:
        """The next sign of life may take that many seconds from now on; None is no limit."""
        assert self.timer is not None
        if silence_s is None:
            self.timer.reschedule(None)
            return
        self._borne_s = silence_s
        due_s = asyncio.get_running_loop().time() + silence_s
        known_s = self.timer.when()
        # Signs of life come many times a second; the timer need not be moved for each.
        if known_s is None or abs(due_s - known_s) > silence_s * _TIMER_SLACK:
            self.timer.reschedule(due_s)
