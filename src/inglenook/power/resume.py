"""Tells from two clocks, and from what logind says, that the board was asleep. Kind: rules.

Source: clock_gettime(2): ``CLOCK_BOOTTIME`` is ``CLOCK_MONOTONIC`` plus the time the system was
suspended, so what lies between them grows by each sleep and by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Shorter sleeps do not matter; and boards without a persistent clock count in whole seconds.
_LEAST_S = 1.0

#: What systemd runs before a sleep takes seconds. A board awake for so long after it was announced,
#: and of which logind says no more, stays awake.
_OVERDUE_S = 180.0


@dataclass(frozen=True, slots=True)
class ClockPair:
    """Both clocks at one moment, seconds."""

    boottime_s: float
    monotonic_s: float

    @property
    def suspended_s(self) -> float:
        """How long the board has been suspended since it was started."""
        return self.boottime_s - self.monotonic_s


class ResumeWatch:
    """Tells of each wake-up once, whoever notices it first: the clocks or logind."""

    def __init__(self, clocks: ClockPair) -> None:
        self._known_s = clocks.suspended_s
        self._left_s: float | None = None

    def on_suspend(self, clocks: ClockPair) -> None:
        """Logind says that the board is about to be suspended."""
        self._left_s = clocks.monotonic_s

    def check(self, clocks: ClockPair) -> float | None:
        """Say how long the board was asleep, seconds; None if it was not, since last asked.

        0 if it was about to sleep, and is awake for so long that it will not: then what was done
        for the sleep has to be undone.
        """
        slept_s = clocks.suspended_s - self._known_s
        overdue = self._left_s is not None and clocks.monotonic_s - self._left_s > _OVERDUE_S
        if slept_s < _LEAST_S and not overdue:
            return None
        self._left_s = None
        if slept_s < _LEAST_S:
            return 0.0
        self._known_s = clocks.suspended_s
        return slept_s

    def on_resume(self, clocks: ClockPair) -> float | None:
        """Say the same when logind says that the board is back, asleep before or not.

        None if this is known already.
        """
        leaving = self._left_s is not None
        slept_s = self.check(clocks)
        self._left_s = None
        return 0.0 if slept_s is None and leaving else slept_s
