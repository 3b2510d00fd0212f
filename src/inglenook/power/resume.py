"""Tells from two clocks, and from what logind says, that the board was asleep. Kind: rules.

Source: clock_gettime(2): ``CLOCK_BOOTTIME`` is ``CLOCK_MONOTONIC`` plus the time the system was
suspended, so what lies between them grows by each sleep and by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Shorter sleeps do not matter; and boards without a persistent clock count in whole seconds.
_LEAST_S = 1.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks at one moment, seconds."""

    boottime_s: float
    monotonic_s: float

    @property
    def suspended_s(self) -> float:
        """How long the board has been suspended since it was started."""
        return self.boottime_s - self.monotonic_s


class ResumeWatch:
    """Tells of each wake-up once, whoever notices it first: the clocks or logind."""

    def __init__(self, clocks: Clocks) -> None:
        self._known_s = clocks.suspended_s
        self._leaving = False

    def leaving(self) -> None:
        """Logind says that the board is about to be suspended."""
        self._leaving = True

    def looked(self, clocks: Clocks) -> float | None:
        """Say how long the board was asleep, seconds; None if it was not, since last asked."""
        slept_s = clocks.suspended_s - self._known_s
        if slept_s < _LEAST_S:
            return None
        self._known_s = clocks.suspended_s
        self._leaving = False
        return slept_s

    def told(self, clocks: Clocks) -> float | None:
        """Say the same when logind says that the board is back.

        It also says so when the board could not be suspended in the end: then 0, since what was
        done for the sleep has to be undone. None if this is known already.
        """
        leaving, self._leaving = self._leaving, False
        slept_s = self.looked(clocks)
        return 0.0 if slept_s is None and leaving else slept_s
