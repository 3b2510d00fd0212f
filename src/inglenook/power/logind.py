"""Has logind keep the board awake while it is busy, and tell of sleep. Kind: hands.

Where there is no logind, the clocks tell of sleep afterwards, and everything else goes on.
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

#: Of the time that logind waits, how much `on_sleep` may take: the rest is for letting go.
_SHARE = 0.8

#: What `on_sleep` has even if logind waits for nobody, seconds.
_LEAST_S = 1.0

#: How long to wait before logind is looked for again, at first and at most, seconds.
_FIRST_S, _LONGEST_S = 1.0, 300.0


class Logind:
    """Sleep and wake-up of the board, as far as logind and the clocks tell of it."""

    def __init__(
        self,
        on_sleep: Callable[[], Awaitable[None]],
        on_resume: Callable[[], None],
        *,
        who: str = "Inglenook",
        clocks: Callable[[], ClockPair] = read_clocks,
        look_every_s: float = 5.0,
    ) -> None:
        """Nothing happens until `run`.

        Args:
            on_sleep: Called before the board is suspended, which waits for it; cancelled when
                logind's patience is used up, 4 s by default.
            on_resume: Called once after each sleep, within ``look_every_s`` even without logind;
                also when the board could not be suspended in the end.
            who: What others see who holds the locks.
            clocks: Reads the clocks.
            look_every_s: How often they are looked at.
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
        #: Nobody has heard yet that the board is awake.
        self._owes_resume = False
        self._bus: LogindBus | None = None
        #: What there is to do; None is that `busy` has changed.
        self._news: asyncio.Queue[LogindSignal | None] = asyncio.Queue()

    @property
    def inhibited(self) -> bool:
        """Whether another program asks that the board not be suspended; False without logind."""
        return self._inhibited

    @property
    def busy(self) -> bool:
        """Whether the board must stay awake. Set it at any time; the last word counts."""
        return self._busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self._tell(None)

    def _tell(self, news: LogindSignal | None) -> None:
        """Have something done, if there is a logind to do it with."""
        if self._bus is not None:
            self._news.put_nowait(news)

    async def can_suspend(self) -> str:
        """Ask whether this process may suspend the board: ``yes``, ``no``, ``challenge``, ``na``.

        ``na``, that the board cannot, is also said when there is no logind to ask.
        """
        try:
            return "na" if self._bus is None else await self._bus.can_suspend()
        except (NoLogind, LogindRefused):
            return "na"

    async def suspend(self) -> None:
        """Have the board suspended; `on_sleep` is called before that happens.

        Raises:
            InglenookError: With a sentence, if somebody keeps it awake, this process may not, or
                logind does not answer.
        """
        if self._bus is None:
            raise NoLogind("there is no logind to suspend the board")
        await self._bus.suspend()

    async def run(self) -> None:
        """Hold the locks and tell of sleep until cancelled."""
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
            if slept_s == 0:  # else logind will say that it may be asked for locks again
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
        """Tell that the board is awake; if that fails it is told at the next look."""
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
                # Said once, until it is found again.
                level = logging.DEBUG if self._missing else logging.INFO
                log.log(level, "sleep of the board is noticed only afterwards: %s", exc)
                wait_s = min(2 * wait_s, _LONGEST_S) if self._missing else _FIRST_S
                self._missing = True
            await asyncio.sleep(wait_s)

    async def _attend(self, bus: LogindBus) -> None:
        """Follow what logind says.

        Raises:
            NoLogind: When the connection fails.
        """
        self._bus, self._leaving = bus, bus.preparing
        try:
            # What was missed while there was no connection.
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
        """Wait for news, at most until the next look at the connection.

        Raises:
            TimeoutError: If there are none.
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
        """Have everything kept, and let the board go."""
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
