"""Keeps the board awake while busy, and reports its sleep, through logind. Kind: hands.

Without logind, sleep is noticed afterwards by the clocks; everything else works.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard, keep_running
from inglenook.common.units import format_duration
from inglenook.power.bus import LogindBus, open_logind
from inglenook.power.login1 import LogindRefused, LogindSignal, NoLogind
from inglenook.power.resume import ClockPair, ResumeWatch
from inglenook.power.rtc import read_clocks
from inglenook.power.sleep_locks import SleepLocks

log = logging.getLogger(__name__)

#: Share of logind's wait that `on_sleep` may take; the rest is for releasing the lock.
_SHARE = 0.8

#: Least time of `on_sleep`, even if logind does not wait, seconds.
_LEAST_S = 1.0

#: First and longest wait before connecting to logind again, seconds.
_FIRST_S, _LONGEST_S = 1.0, 300.0


class Logind:
    """Sleep and wake-up of the board, by logind and the clocks."""

    def __init__(
        self,
        on_sleep: Callable[[], Awaitable[None]],
        on_resume: Callable[[], None],
        *,
        who: str = "Inglenook",
        clocks: Callable[[], ClockPair] = read_clocks,
        look_every_s: float = 5.0,
    ) -> None:
        """Do nothing until `run`.

        Args:
            on_sleep: Called before the board is suspended, which waits for it; cancelled at
                logind's limit, 4 s by default.
            on_resume: Called once after each sleep, within ``look_every_s`` even without logind;
                also when the board could not be suspended in the end.
            who: Name of the locks' holder, for other programs.
            clocks: Reads the clocks.
            look_every_s: Interval of reading them.
        """
        self._on_sleep = on_sleep
        self._on_resume = on_resume
        self._clocks = clocks
        self._look_every_s = look_every_s
        self._watch = ResumeWatch(clocks())
        self._busy = False
        self._leaving = False
        self._inhibited = False
        self._locks = SleepLocks(who)
        self._missing = False
        self._leaving_well = TaskGuard("getting ready for the board's sleep")
        self._coming_back = Guard("waking after the board's sleep")
        #: `on_resume` has still to be called.
        self._owes_resume = False
        self._bus: LogindBus | None = None
        #: Signals to handle; None means that `busy` has changed.
        self._news: asyncio.Queue[LogindSignal | None] = asyncio.Queue()

    @property
    def inhibited(self) -> bool:
        """Whether another program inhibits suspending the board; False without logind."""
        return self._inhibited

    @property
    def busy(self) -> bool:
        """Whether the board must stay awake. Set it at any time; the last value counts."""
        return self._busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self._tell(None)

    def _tell(self, news: LogindSignal | None) -> None:
        """Queue a signal, if there is a connection to logind."""
        if self._bus is not None:
            self._news.put_nowait(news)

    async def can_suspend(self) -> str:
        """Return if this process may suspend the board: ``yes``, ``no``, ``challenge`` or ``na``.

        ``na``, that the board cannot, is also returned without logind.
        """
        try:
            return "na" if self._bus is None else await self._bus.can_suspend()
        except (NoLogind, LogindRefused):
            return "na"

    async def suspend(self) -> None:
        """Suspend the board; `on_sleep` is called before that happens.

        Raises:
            InglenookError: With a sentence, if another process keeps it awake, this one may not, or
                logind does not answer.
        """
        if self._bus is None:
            raise NoLogind("there is no logind to suspend the board")
        await self._bus.suspend()

    async def run(self) -> None:
        """Hold the locks and report sleep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            looking = keep_running("looking for sleep by the clocks", self._look)
            tasks.create_task(looking, name="sleep clocks")
            following = keep_running("following logind", self._keep_connected)
            tasks.create_task(following, name="logind")

    async def _look(self) -> None:
        """Notice by the clocks alone that the board was asleep."""
        while True:
            await asyncio.sleep(self._look_every_s)
            self._tell_resume()
            slept_s = self._watch.check(self._clocks())
            self._resumed(slept_s)
            if slept_s == 0:  # otherwise logind's signal has the locks taken again
                self._leaving = False
                self._tell(None)

    def _resumed(self, slept_s: float | None) -> None:
        if slept_s is None:
            return
        if slept_s:
            log.info("awake again after %s asleep", format_duration(round(slept_s)))
        else:
            log.info("the board was not suspended after all")
        self._owes_resume = True
        self._tell_resume()

    def _tell_resume(self) -> None:
        """Call `on_resume`; if that fails, again at the next look at the clocks."""
        if self._owes_resume:
            with self._coming_back:
                self._on_resume()
                self._owes_resume = False

    async def _keep_connected(self) -> None:
        wait_s = _FIRST_S
        while True:
            try:
                async with open_logind(self._news.put_nowait) as bus:
                    await self._attend(bus)
            except NoLogind as exc:
                # Logged once, until it is found again.
                level = logging.DEBUG if self._missing else logging.INFO
                log.log(level, "sleep of the board is noticed only afterwards: %s", exc)
                wait_s = min(2 * wait_s, _LONGEST_S) if self._missing else _FIRST_S
                self._missing = True
            await asyncio.sleep(wait_s)

    async def _attend(self, bus: LogindBus) -> None:
        """Handle logind's signals.

        Raises:
            NoLogind: When the connection fails.
        """
        self._bus, self._leaving = bus, bus.preparing
        try:
            # Signals missed while there was no connection.
            await self._hear(bus, None if bus.preparing else LogindSignal.BACK)
            await self._hear(bus, LogindSignal.LOCKS)
            if self._missing:
                log.info("logind tells of sleep before it comes")
            self._missing = False
            while bus.connected:
                try:
                    news = await self._next_news()
                except TimeoutError:
                    continue
                await self._hear(bus, news)
            raise NoLogind("the system bus has closed the connection")
        finally:
            self._bus, self._inhibited = None, False
            self._news = asyncio.Queue()
            self._locks.release()

    async def _next_news(self) -> LogindSignal | None:
        """Wait for a signal, at most until the next check of the connection.

        Raises:
            TimeoutError: If there is none.
        """
        async with asyncio.timeout(self._look_every_s):
            return await self._news.get()

    async def _hear(self, bus: LogindBus, news: LogindSignal | None) -> None:
        match news:
            case LogindSignal.LEAVING:
                await self._leave(bus)
            case LogindSignal.BACK:
                self._leaving = False
                try:
                    await self._locks.settle(bus, leaving=self._leaving, busy=self._busy)
                finally:
                    self._resumed(self._watch.on_resume(self._clocks()))
            case LogindSignal.LOCKS:
                with contextlib.suppress(LogindRefused):
                    self._inhibited = bool(await bus.keepers())
            case None:
                await self._locks.settle(bus, leaving=self._leaving, busy=self._busy)
            case LogindSignal.GONE:
                raise NoLogind("logind has ended")

    async def _leave(self, bus: LogindBus) -> None:
        """Call `on_sleep`, and release the locks for the board to sleep."""
        log.info("the board is about to sleep")
        self._leaving = True
        self._watch.on_suspend(self._clocks())
        within_s = max(_SHARE * bus.delay_s, _LEAST_S)
        deadline = asyncio.timeout(within_s)
        try:
            async with deadline:
                with self._leaving_well:
                    await self._on_sleep()
        except TimeoutError:
            if not deadline.expired():
                raise
            log.warning("not all was kept before the board sleeps: %g s are too few", within_s)
        finally:
            self._locks.release()
