"""Looks at the board, once a second while it is busy, and says what it allows. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from inglenook.governor.clocks import Clocks
from inglenook.governor.law import State, decide
from inglenook.governor.limits import Capacity, Decision, Level, Reason
from inglenook.governor.readings import Readings
from inglenook.governor.thermal import Heat
from inglenook.governor.turns import Turn, turn, unlimited
from inglenook.units import mid_sentence

log = logging.getLogger(__name__)

#: A reading takes a millisecond. One that takes this long hangs in a driver.
READING_S = 5.0

#: How long giving the clock back may take at the end; else the next start does it.
_RELEASE_S = 2.0

#: How much longer the pause between two looks is at rest; and where nobody is answered and nothing
#: is limited.
_CALM, _IDLE = 5, 2

#: What a sensor is called that was never read.
_NAMELESS = "that is being read"

_T = TypeVar("_T")


class _Begin(Protocol):
    """Has something done in the thread."""

    def __call__(self, job: Callable[[], _T], /) -> asyncio.Future[_T]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """When the board is looked at; a test cannot wait for a board to cool down.

    Attributes:
        every_s: Pause between two looks while there is something to do or to limit.
        clock: Seconds as the law counts them; asked once a look.
        sleep: Makes the pause, given in seconds.
    """

    every_s: float = 1.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Work:
    """What the box does, and could do.

    Attributes:
        capacity: With nothing to hold it back.
        busy: Whether answers are being written.
    """

    capacity: Capacity
    busy: bool


class Monitor:
    """The governor at work.

    Attributes:
        calm: Nothing is computed and no model is in memory, so looks may be far between.
    """

    def __init__(
        self,
        read: Callable[[], Readings],
        work: Callable[[], Work],
        on_look: Callable[[Decision, Readings], None],
        *,
        enabled: bool,
        pace: Pace,
    ) -> None:
        """Nothing happens until `run`.

        Args:
            read: Reads the board; blocks, and is called in a thread.
            work: Tells what the box does at this moment.
            on_look: Hears, synchronously and after every look, what is allowed and why.
            enabled: Whether anything may be limited.
            pace: When to look.
        """
        self._read = read
        self._work = work
        self._on_look = on_look
        self._enabled = enabled
        self._pace = pace
        self.calm = False
        self._busy = False
        self._state = State()
        self._logged: Decision | None = None
        self._readings = Readings()
        self._pending: asyncio.Future[Readings] | None = None
        self._hangs = False
        self._clocks: Clocks | None = None
        self._clock: float | None = None
        self._setting: asyncio.Future[None] | None = None

    async def run(self, clocks: Clocks | None = None) -> None:
        """Look until cancelled.

        Args:
            clocks: With these the clock is capped, and given back at the end; None leaves it alone.
        """
        self._clocks = clocks
        with _thread() as begin:
            try:
                while True:
                    readings = await self._look(begin)
                    decision = self._decide(readings)
                    self._set_clock(begin, decision, readings)
                    await self._pace.sleep(self._pace.every_s * self._pauses(decision))
            finally:
                if clocks is not None:
                    await asyncio.wait([begin(clocks.release)], timeout=_RELEASE_S)

    def _pauses(self, decision: Decision) -> int:
        """How many pauses to make until the next look."""
        if self.calm:
            return _CALM
        return 1 if self._busy or decision.reason is not Reason.NONE else _IDLE

    def forget(self) -> None:
        """Begin anew with heat: what was measured is of a time before the board was suspended."""
        self._state = replace(self._state, heat=Heat())

    async def _look(self, begin: _Begin) -> Readings:
        """Read the board, or say that every sensor fails if that cannot be done."""
        if self._pending is None:
            self._pending = begin(self._read)
        # One that hangs is not waited for again, only looked after.
        await asyncio.wait([self._pending], timeout=0.0 if self._hangs else READING_S)
        if not self._pending.done():
            if not self._hangs:
                log.warning("reading sensors and memory hangs in the kernel for %g s", READING_S)
            self._hangs = True
            names = (*self._readings.faulty, *(zone.name for zone in self._readings.zones))
            return replace(self._readings, zones=(), faulty=names or (_NAMELESS,))
        if self._hangs:
            log.info("sensors and memory can be read again")
        self._hangs = False
        self._readings = self._pending.result()
        self._pending = None
        return self._readings

    def _decide(self, readings: Readings) -> Decision:
        work, now = self._work(), self._pace.clock()
        self._busy = work.busy
        capacity = work.capacity
        if self._clocks is not None:
            capacity = replace(capacity, clocks=self._clocks.shares)
        self._state, decision = decide(self._state, readings, capacity, now, busy=work.busy)
        if not self._enabled:
            decision = unlimited(decision, capacity)
        self._say(decision)
        self._on_look(decision, readings)
        return decision

    def _set_clock(self, begin: _Begin, decision: Decision, readings: Readings) -> None:
        """Have the thread cap the clock, if that is to change."""
        clocks = self._clocks
        if clocks is None:
            return
        if self._clock is None:
            # What stands there while the kernel slows the board is not what its owner wants.
            if not readings.throttled_by_kernel:
                self._clock = 1.0
                self._setting = begin(clocks.take if self._enabled else clocks.release)
        elif decision.clock != self._clock:
            self._clock = decision.clock
            self._setting = begin(partial(clocks.cap, decision.clock))

    def _say(self, decision: Decision) -> None:
        """Write one line if something turned."""
        change = turn(self._logged, decision)
        if change is Turn.NONE:
            return
        self._logged = decision
        bad = change is Turn.WORSE and decision.reason is not Reason.NONE
        level = logging.WARNING if bad else logging.INFO
        if decision.level is Level.UNKNOWN:
            log.log(level, "%s", mid_sentence(decision.sentence))
        else:
            log.log(level, "board %s: %s", decision.level, decision.sentence)


@contextlib.contextmanager
def _thread() -> Iterator[_Begin]:
    """Have a thread that does, one after the other, whatever the function this gives is given.

    It is a thread of its own, and nobody waits for its end: one that hangs in a driver must not
    keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    wanted: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def work() -> None:
        while (job := wanted.get()) is not None:
            job()

    def begin(job: Callable[[], _T], /) -> asyncio.Future[_T]:
        result: asyncio.Future[_T] = loop.create_future()

        def do() -> None:
            done = job()
            with contextlib.suppress(RuntimeError):  # it hung, and the loop is closed by now
                loop.call_soon_threadsafe(_tell, result, done)

        wanted.put(do)
        return result

    threading.Thread(target=work, name="governor", daemon=True).start()
    try:
        yield begin
    finally:
        wanted.put(None)


def _tell(result: asyncio.Future[_T], done: _T) -> None:
    if not result.cancelled():
        result.set_result(done)
