"""Watches the box's activity, and reports changes of its sleep level. Kind: hands."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime

from inglenook.common.guarded import Guard
from inglenook.power.idle import (
    Abilities,
    Activity,
    SleepLevel,
    Use,
    level,
    next_look_s,
    refused,
    seen,
    used,
    woken,
)
from inglenook.power.settings import PowerSettings

#: Longest time between two looks, seconds: for hours of the day and other programs' inhibitors.
_LOOK_S = 60.0

#: Time until a level is reported again after a failure, seconds.
_TELL_AGAIN_S = 1.0


class SleepController:
    """The rule of `idle`, with a clock.

    Attributes:
        settings: May be set anew at any time; `changed` makes it count at once.
        abilities: Likewise.
    """

    def __init__(
        self,
        settings: PowerSettings,
        activity: Callable[[], Activity],
        on_level: Callable[[SleepLevel], None],
    ) -> None:
        """Report nothing until `begin`.

        Args:
            settings: When to sleep.
            activity: Returns the present activity.
            on_level: Called, synchronously, with each new level; the first is idle.
        """
        self.settings = settings
        self.abilities = Abilities()
        self._activity = activity
        self._on_level = on_level
        self._use: Use | None = None
        self._going_on = Activity()
        self._level = SleepLevel.IDLE
        self._asking = Guard("what keeps the box awake")
        self._telling = Guard("going to sleep or waking")
        self._timer: asyncio.TimerHandle | None = None

    @property
    def level(self) -> SleepLevel:
        """The latest level."""
        return self._level

    def use(self) -> None:
        """Record a use of the box."""
        self._look(used)

    def wake(self) -> None:
        """Record a magic packet, or the end of a suspension."""
        self._look(woken)

    def refused(self, to: SleepLevel) -> None:
        """Record that the board could not be suspended, or the process not be ended."""
        self._look(lambda use, now: refused(use, to, now))

    def changed(self) -> None:
        """Look again, because activity may have begun or ended."""
        self._look(lambda use, _now: use)

    def begin(self, *, asleep: bool = False) -> None:
        """Report levels from now on, until `run` ends.

        Args:
            asleep: Whether the box was asleep until now, and no phone has connected yet.
        """
        now = self._now()
        self._use = Use(used_at=-math.inf if asleep else now, held_at=now)
        self.changed()

    async def run(self) -> None:
        """Look at the right times until cancelled; nothing is reported afterwards."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._use = None
            if self._timer is not None:
                self._timer.cancel()

    def _look(self, change: Callable[[Use, float], Use]) -> None:
        if self._use is None:
            return
        now, activity = self._now(), self._going_on
        with self._asking:
            activity = self._activity()
        # Activity at the last look lasted until about now.
        use = seen(change(self._use, now), self._going_on, now)
        self._use, self._going_on = seen(use, activity, now), activity
        self._look_again(now)
        judged = self._judge(activity, now)
        if judged is not self._level:
            self._tell(judged)

    def _tell(self, level: SleepLevel) -> None:
        before, self._level = self._level, level
        with self._telling:
            self._on_level(level)
            return
        # No action was taken. The level must not count as reported: a box may have to wake.
        self._level = before
        self._look_at(self._now() + _TELL_AGAIN_S)

    def _judge(self, activity: Activity, now: float) -> SleepLevel:
        assert self._use is not None
        return level(self._use, activity, self.abilities, self.settings, now)

    def _look_again(self, now: float) -> None:
        """Schedule the next look; one that is too early does no harm."""
        assert self._use is not None
        self._look_at(now + min(next_look_s(self._use, self.settings, now), _LOOK_S))

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._due)

    def _due(self) -> None:
        # However this look ends, there is a next one.
        self._timer = None
        self._look_at(self._now() + _LOOK_S)
        self.changed()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def minute_of_day() -> int:
    """Return the minute of the day by the box's own clock and time zone, 0 to 1439."""
    now = datetime.now().astimezone()
    return now.hour * 60 + now.minute
