"""Samples the board, once a second while it is busy, and decides. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from inglenook.common.guarded import Guard
from inglenook.common.units import mid_sentence
from inglenook.governor.clocks import ClockCaps
from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.readings import Readings
from inglenook.governor.thermal.thermal import Heat
from inglenook.governor.thread import Begin, driver_thread
from inglenook.governor.transitions import Transition, turn, unlimited

log = logging.getLogger(__name__)

#: A reading takes a millisecond. One that takes this long hangs in a driver.
READING_S = 5.0

#: How long giving the clock back may take at the end; else the next start does it.
_RELEASE_S = 2.0

#: How much longer the pause between two samples is at rest; and while no request runs and nothing
#: is limited.
_CALM, _IDLE = 5, 2

#: What a sensor is called that was never read.
_NAMELESS = "that is being read"


@dataclass(frozen=True, slots=True)
class SampleIntervals:
    """When the board is sampled; a test cannot wait for a board to cool down.

    Attributes:
        every_s: Pause between two samples while there is something to do or to limit.
        clock: Seconds as the policy counts them; read once a sample.
        sleep: Makes the pause, given in seconds.
    """

    every_s: float = 1.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class BoxLoad:
    """The load of the box, and its capacity.

    Attributes:
        capacity: With nothing to hold it back.
        busy: Whether requests are running.
    """

    capacity: Capacity
    busy: bool


class Monitor:
    """Samples, decides, logs and caps the clock.

    Attributes:
        calm: Nothing is computed and no model is loaded, so samples may be far between.
    """

    def __init__(
        self,
        read: Callable[[], Readings],
        work: Callable[[], BoxLoad],
        on_look: Callable[[Decision, Readings], None],
        *,
        enabled: bool,
        pace: SampleIntervals,
    ) -> None:
        """Nothing happens until `run`.

        Args:
            read: Reads the board; blocks, and is called in a thread.
            work: Gives the load of the box at this moment.
            on_look: Called, synchronously and after every sample, with what is allowed and why.
            enabled: Whether anything may be limited.
            pace: When to sample.
        """
        self._read = read
        self._work = work
        self._on_look = on_look
        self._enabled = enabled
        self._pace = pace
        self.calm = False
        self._busy = False
        self._reading = Guard(
            "reading sensors and memory", again="sensors and memory can be read again"
        )
        self._deciding = Guard("the governor's decision")
        self._telling = Guard("what the governor's decision means")
        self._setting_clock = Guard("setting the clock")
        self._state = PolicyState()
        self._logged: Decision | None = None
        self._readings = Readings()
        self._pending: asyncio.Future[Readings] | None = None
        self._hangs = False
        self._clocks: ClockCaps | None = None
        self._clock: float | None = None

    async def run(self, clocks: ClockCaps | None = None) -> None:
        """Sample until cancelled.

        Args:
            clocks: With these the clock is capped, and given back at the end; None leaves it alone.
        """
        self._clocks, self._clock = clocks, None
        with driver_thread() as begin:
            try:
                while True:
                    readings = await self._look(begin)
                    # A decision that fails is made anew at the next sample.
                    with self._deciding:
                        decision = self._decide(readings)
                        self._set_clock(begin, decision, readings)
                    await self._pace.sleep(self._pace.every_s * self._pauses())
            finally:
                self._give_up_reading()
                if clocks is not None:
                    await self._release(begin, clocks)

    def _pauses(self) -> int:
        """How many pauses to make until the next sample."""
        if self.calm:
            return _CALM
        limited = self._logged is None or self._logged.reason is not LimitReason.NONE
        return 1 if self._busy or limited else _IDLE

    def forget(self) -> None:
        """Begin anew with heat: the readings are older than the suspend."""
        self._state = replace(self._state, heat=Heat())

    async def _look(self, begin: Begin) -> Readings:
        """Read the board, or say that every sensor fails if that cannot be done."""
        if self._pending is None:
            self._pending = begin(self._read)
        # A reading that hangs is not waited for again, only checked.
        await asyncio.wait([self._pending], timeout=0.0 if self._hangs else READING_S)
        if not self._pending.done():
            if not self._hangs:
                log.warning("reading sensors and memory hangs in the kernel for %g s", READING_S)
            self._hangs = True
            return self._faulty()
        if self._hangs:
            log.info("sensors and memory can be read again")
        self._hangs = False
        pending, self._pending = self._pending, None
        with self._reading:
            self._readings = pending.result()
            return self._readings
        return self._faulty()

    def _faulty(self) -> Readings:
        """The readings if nothing could be read: every sensor there was has failed."""
        names = (*self._readings.faulty, *(zone.name for zone in self._readings.zones))
        return replace(self._readings, zones=(), neighbours=(), faulty=names or (_NAMELESS,))

    def _give_up_reading(self) -> None:
        """Stop waiting for a reading: it may end after the event loop."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

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
        with self._telling:
            self._on_look(decision, readings)
        return decision

    def _set_clock(self, begin: Begin, decision: Decision, readings: Readings) -> None:
        """Have the thread cap the clock, if that is to change."""
        clocks = self._clocks
        if clocks is None:
            return
        if self._clock is None:
            # The cap while the kernel slows the board is not the one its owner wants.
            if not readings.throttled_by_kernel:
                self._clock = 1.0
                self._begin_to_set(begin, clocks.take if self._enabled else clocks.release)
        elif decision.clock != self._clock:
            self._clock = decision.clock
            self._begin_to_set(begin, partial(clocks.cap, decision.clock))

    def _begin_to_set(self, begin: Begin, change: Callable[[], None]) -> None:
        begin(change).add_done_callback(self._was_set)

    def _was_set(self, setting: asyncio.Future[None]) -> None:
        if setting.cancelled():
            return
        with self._setting_clock:
            setting.result()
            return
        # The cap is unknown now: it is given back and read anew.
        self._clock = None

    async def _release(self, begin: Begin, clocks: ClockCaps) -> None:
        """Give the clock back, as far as that can be waited for."""
        released = begin(clocks.release)
        released.add_done_callback(self._was_set)
        await asyncio.wait([released], timeout=_RELEASE_S)

    def _say(self, decision: Decision) -> None:
        """Log one line at a transition."""
        change = turn(self._logged, decision)
        if change is Transition.NONE:
            return
        self._logged = decision
        bad = change is Transition.WORSE and decision.reason is not LimitReason.NONE
        level = logging.WARNING if bad else logging.INFO
        if decision.level is Level.UNKNOWN:
            log.log(level, "%s", mid_sentence(decision.sentence))
        else:
            log.log(level, "board %s: %s", decision.level, decision.sentence)
