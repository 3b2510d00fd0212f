"""How deep the box may sleep, by its last use. Kind: rules.

Times are of a clock that stops while the board is suspended: a night asleep is not idle time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

from inglenook.power.settings import AwakeHours, PowerSettings

#: Time that the box stays awake after a wake-up, seconds, for the waking phone to connect.
KEEP_AWAKE_S = 120.0

_DAY_MIN = 24 * 60


class SleepLevel(IntEnum):
    """Depth of sleep; each level includes those before."""

    BUSY = 0
    IDLE = 1
    UNLOADED = 2
    STOPPED = 3
    SUSPENDED = 4


@dataclass(frozen=True, slots=True)
class Activity:
    """Present activity of the box.

    Attributes:
        answers: Number of running and waiting answers.
        preparations: Number of prompts being prefilled while their user types.
        loading: Whether the model is being loaded, because of a request.
        sockets: Number of open connections of phones.
        others: Whether anything else must not be cut off, such as an open pairing window.
        inhibited: Whether another program on this machine inhibits suspending.
        minute: Minute of the day, by the box's own clock, 0 to 1439.
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
    """Levels from which this board and installation can wake.

    Attributes:
        stop: systemd holds the sockets, and starts the process at a connection.
        suspend: The board woke up from suspension in a test.
    """

    stop: bool = False
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Times of the box's last uses, seconds.

    Attributes:
        used_at: Last request, authentication, or call by name.
        held_at: Last time a phone was connected, or work went on that must not be cut off.
        awake_until: End of the time after a wake-up.
        stop_refused_at: Last time the process could not be ended.
        suspend_refused_at: Last time the board could not be suspended.
    """

    used_at: float
    held_at: float
    awake_until: float = -math.inf
    stop_refused_at: float = -math.inf
    suspend_refused_at: float = -math.inf

    @property
    def stop_from(self) -> float:
        """Begin of the idle time after which the process ends."""
        return max(self.held_at, self.stop_refused_at)

    @property
    def suspend_from(self) -> float:
        """Begin of the idle time after which the board is suspended."""
        return max(self.held_at, self.suspend_refused_at)


def used(use: Use, now: float) -> Use:
    """Record a use of the box."""
    return replace(use, used_at=now, held_at=now)


def woken(use: Use, now: float) -> Use:
    """Record a wake-up call, or the board's waking: a phone is about to connect."""
    return replace(use, awake_until=now + KEEP_AWAKE_S)


def refused(use: Use, to: SleepLevel, now: float) -> Use:
    """Record that a level could not be reached; it is tried again after the same idle time."""
    if to is SleepLevel.SUSPENDED:
        return replace(use, suspend_refused_at=now)
    return replace(use, stop_refused_at=now)


def seen(use: Use, activity: Activity, now: float) -> Use:
    """Record the present activity."""
    if activity.answers or activity.preparations or activity.loading:
        return used(use, now)
    if activity.sockets or activity.others:
        return replace(use, held_at=now)
    return use


def level(
    use: Use, activity: Activity, abilities: Abilities, settings: PowerSettings, now: float
) -> SleepLevel:
    """Return how deep the box may sleep now; ``use`` has `seen` the activity."""
    if activity.answers or activity.preparations:
        return SleepLevel.BUSY
    if now < use.awake_until or within(settings.awake_hours, activity.minute):
        return SleepLevel.IDLE
    may_suspend = abilities.suspend and not activity.inhibited
    if may_suspend and _over(now - use.suspend_from, settings.suspend_after_s):
        return SleepLevel.SUSPENDED
    if abilities.stop and _over(now - use.stop_from, settings.stop_after_s):
        return SleepLevel.STOPPED
    # A page open in a tab does not keep the model in memory.
    return (
        SleepLevel.UNLOADED
        if _over(now - use.used_at, settings.unload_after_s)
        else SleepLevel.IDLE
    )


def next_look_s(use: Use, settings: PowerSettings, now: float) -> float:
    """Return the time until the level may change without activity, seconds; `math.inf` if never.

    Hours of the day are left out: the caller checks again after a minute.
    """
    moments = [
        use.awake_until,
        *(use.used_at + s for s in (settings.unload_after_s,) if s),
        *(use.stop_from + s for s in (settings.stop_after_s,) if s),
        *(use.suspend_from + s for s in (settings.suspend_after_s,) if s),
    ]
    return min((moment - now for moment in moments if moment > now), default=math.inf)


def within(hours: AwakeHours | None, minute: int) -> bool:
    """Return whether a minute of the day is in these hours."""
    if hours is None:
        return False
    length_min = (hours.end_min - hours.begin_min) % _DAY_MIN
    return (minute - hours.begin_min) % _DAY_MIN < length_min


def _over(idle_s: float, after_s: float) -> bool:
    return 0 < after_s <= idle_s
