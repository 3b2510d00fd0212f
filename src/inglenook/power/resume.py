"""Detects the board's sleep by two clocks and logind's signals. Kind: rules.

Source: clock_gettime(2): ``CLOCK_BOOTTIME`` is ``CLOCK_MONOTONIC`` plus the time the system was
suspended, so their difference grows only by sleep.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Shorter sleeps are ignored; boards without a persistent clock count in whole seconds.
_LEAST_S = 1.0

#: Time after an announced sleep until the board counts as awake, if logind sends no more. systemd's
#: jobs before a sleep take seconds.
_OVERDUE_S = 180.0


@dataclass(frozen=True, slots=True)
class ClockPair:
    """Both clocks at one moment, seconds."""

    boottime_s: float
    monotonic_s: float

    @property
    def suspended_s(self) -> float:
        """Time suspended since the board was started."""
        return self.boottime_s - self.monotonic_s


class ResumeWatch:
    """Reports each wake-up once, by the clocks or by logind, whichever is first."""

    def __init__(self, clocks: ClockPair) -> None:
        self._known_s = clocks.suspended_s
        self._left_s: float | None = None

    def on_suspend(self, clocks: ClockPair) -> None:
        """Record logind's signal that the board is about to be suspended."""
        self._left_s = clocks.monotonic_s

    def check(self, clocks: ClockPair) -> float | None:
        """Return how long the board was asleep since the last call, seconds; None if it was not.

        0 if it was about to sleep, but has been awake for so long that it will not: preparations
        for the sleep have to be undone.
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
        """Return the same at logind's signal that the board is back, whether it slept or not.

        None if this was returned already.
        """
        leaving = self._left_s is not None
        slept_s = self.check(clocks)
        self._left_s = None
        return 0.0 if slept_s is None and leaving else slept_s
