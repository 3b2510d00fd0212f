"""The kernel's clocks are read as of one moment."""

from __future__ import annotations

import time

from inglenook.power.rtc import read_clocks


def test_a_board_that_does_not_sleep_has_clocks_that_keep_step() -> None:
    """What lies between them does not change while it is awake, and they go on."""
    first = read_clocks()
    second = read_clocks()

    assert abs(second.suspended_s - first.suspended_s) < 0.1
    assert first.monotonic_s <= second.monotonic_s <= time.monotonic()
    assert first.boottime_s <= second.boottime_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
