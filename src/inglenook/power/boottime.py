"""Reads the two clocks of which one goes on while the board is suspended. Kind: hands."""

from __future__ import annotations

import time

from inglenook.power.resume import ClockPair

#: Read further apart than this, they would be of two moments.
_APART_S = 0.1


def read_clocks() -> ClockPair:
    """Read both as of one moment."""
    while True:
        before_s = time.monotonic()
        boottime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        monotonic_s = time.monotonic()
        # A process that was stopped or swapped out in between would seem to have slept.
        if monotonic_s - before_s < _APART_S:
            return ClockPair(boottime_s, monotonic_s)
