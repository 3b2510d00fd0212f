"""How deep the box may sleep, by who has used it and when. Kind: rules.

Times are those of a clock that stands still while the board is suspended: a night asleep is not a
night of idleness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

from inglenook.power.settings import AwakeHours, PowerSettings

#: After a wake-up the box stays awake for so long, seconds, until whoever woke it has come.
KEEP_AWAKE_S = 120.0

_DAY_MIN = 24 * 60


class SleepLevel(IntEnum):
    """What is given up; each includes those before."""

    BUSY = 0
    IDLE = 1
    UNLOADED = 2
    STOPPED = 3
    SUSPENDED = 4


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on at this moment.

    Attributes:
        answers: That are being written, or wait to be.
        preparations: Prompts that are read while somebody types.
        loading: Whether the model is on its way into memory: somebody needed it.
        sockets: Open connections of phones.
        others: Whether anything else must not be cut off, such as an open pairing window.
        inhibited: Whether another program on this machine asks that it not be suspended.
        minute: Of the day, by the box's own clock, 0 to 1439.
    """

    answers: int = 0
    preparations: int = 0
    loading: bool = False
    sockets: int = 0
    others: bool = False
    inhibited: bool = False
    minute: int = 0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this board and this installation can come back from.

    Attributes:
        stop: Something holds the sockets, and starts the process when somebody knocks.
        suspend: It was suspended and woke up, in a test.
    """

    stop: bool = False
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """When the box was of use, seconds.

    Attributes:
        used_at: Somebody asked, came in, or called by name.
        held_at: A phone was connected, or something that must not be cut off went on.
        awake_until: It does not go to sleep before.
        stop_refused_at: Its process could not be ended.
        suspend_refused_at: The board could not be suspended.
    """

    used_at: float
    held_at: float
    awake_until: float = -math.inf
    stop_refused_at: float = -math.inf
    suspend_refused_at: float = -math.inf

    @property
    def stop_from(self) -> float:
        """From when on the rest counts after which the process ends."""
        return max(self.held_at, self.stop_refused_at)

    @property
    def suspend_from(self) -> float:
        """From when on the rest counts after which the board is suspended."""
        return max(self.held_at, self.suspend_refused_at)


def used(use: Use, now: float) -> Use:
    """Somebody needs the box from now on."""
    return replace(use, used_at=now, held_at=now)


def woken(use: Use, now: float) -> Use:
    """The box was called, or the board has woken up: whoever did that is about to come."""
    return replace(use, awake_until=now + KEEP_AWAKE_S)


def refused(use: Use, to: SleepLevel, now: float) -> Use:
    """It could not go to that level, which is tried again after as long a rest as before."""
    if to is SleepLevel.SUSPENDED:
        return replace(use, suspend_refused_at=now)
    return replace(use, stop_refused_at=now)


def seen(use: Use, activity: Activity, now: float) -> Use:
    """Take into account what goes on."""
    if activity.answers or activity.preparations or activity.loading:
        return used(use, now)
    if activity.sockets or activity.others:
        return replace(use, held_at=now)
    return use


def level(
    use: Use, activity: Activity, abilities: Abilities, settings: PowerSettings, now: float
) -> SleepLevel:
    """Say how deep the box may sleep now; ``use`` has `seen` the activity."""
    if activity.answers or activity.preparations:
        return SleepLevel.BUSY
    if now < use.awake_until or within(settings.awake_hours, activity.minute):
        return SleepLevel.IDLE
    may_suspend = abilities.suspend and not activity.inhibited
    if may_suspend and _over(now - use.suspend_from, settings.suspend_after_s):
        return SleepLevel.SUSPENDED
    if abilities.stop and _over(now - use.stop_from, settings.stop_after_s):
        return SleepLevel.STOPPED
    # A page left open in a tab does not keep the model in memory.
    return (
        SleepLevel.UNLOADED
        if _over(now - use.used_at, settings.unload_after_s)
        else SleepLevel.IDLE
    )


def next_look_s(use: Use, settings: PowerSettings, now: float) -> float:
    """How long until the level may change with nobody doing anything, seconds; `math.inf` if never.

    Hours of the day are not looked at: whoever waits looks again after a minute.
    """
    moments = [
        use.awake_until,
        *(use.used_at + s for s in (settings.unload_after_s,) if s),
        *(use.stop_from + s for s in (settings.stop_after_s,) if s),
        *(use.suspend_from + s for s in (settings.suspend_after_s,) if s),
    ]
    return min((moment - now for moment in moments if moment > now), default=math.inf)


def within(hours: AwakeHours | None, minute: int) -> bool:
    """Whether a minute of the day is in these hours."""
    if hours is None:
        return False
    length_min = (hours.end_min - hours.begin_min) % _DAY_MIN
    return (minute - hours.begin_min) % _DAY_MIN < length_min


def _over(idle_s: float, after_s: float) -> bool:
    return 0 < after_s <= idle_s
