"""Levels: worse at once, better after a while, and hot when nothing can be known."""

from __future__ import annotations

import pytest

from inglenook.governor.limits import Level
from inglenook.governor.readings import FirmwareFlags, Readings, Zone
from inglenook.governor.thermal import BLIND_EFFORT, Heat, next_heat


def at(temp_c: float, **others: object) -> Readings:
    """A board whose limit is 80 °C."""
    return Readings(zones=(Zone("cpu-thermal", temp_c, 80.0, 110.0),), **others)  # type: ignore[arg-type]


def after(heat: Heat, readings: Readings, seconds: int, start_s: float = 0.0) -> Heat:
    """The same readings for so many seconds."""
    for second in range(seconds):
        heat = next_heat(heat, readings, start_s + second, busy=True)
    return heat


@pytest.mark.parametrize(
    ("temp_c", "level"),
    [
        (20.0, Level.COOL),
        (67.9, Level.COOL),
        (68.0, Level.WARM),
        (73.9, Level.WARM),
        (74.0, Level.HOT),
        (79.0, Level.HOT),
        (79.9, Level.CRITICAL),
        (95.0, Level.CRITICAL),
    ],
)
def test_the_level_goes_by_headroom(temp_c: float, level: Level) -> None:
    """12, 6 and nearly 0 °C below the limit."""
    assert after(Heat(), at(temp_c), 1).level is level


def test_the_zone_nearest_to_its_own_limit_counts() -> None:
    """Not the hottest: some may be hotter than others."""
    readings = Readings(zones=(Zone("gpu", 84.0, 115.0), Zone("bigcore", 76.0, 80.0)))
    heat = after(Heat(), readings, 1)

    assert heat.zone is not None
    assert heat.zone.name == "bigcore"
    assert heat.level is Level.HOT


def test_a_level_ends_only_after_a_while_well_below_it() -> None:
    """Hot begins at 74 °C, and ends after 15 seconds below 71 °C."""
    hot = after(Heat(), at(75.0), 5)
    almost = after(hot, at(72.0), 300, 5)
    cooler = after(hot, at(70.0), 10, 5)
    cool = after(cooler, at(70.0), 20, 15)

    assert [heat.level for heat in (hot, almost, cooler, cool)] == [
        Level.HOT,
        Level.HOT,
        Level.HOT,
        Level.WARM,
    ]


def test_going_back_up_for_a_moment_begins_the_wait_anew() -> None:
    """A level does not end by seconds collected here and there."""
    heat = after(Heat(), at(75.0), 5)
    for turn in range(10):
        heat = after(heat, at(69.0), 12, 5 + 20 * turn)
        heat = after(heat, at(75.0), 8, 17 + 20 * turn)

    assert heat.level is Level.HOT


@pytest.mark.parametrize(
    ("temp_c", "kernel", "flags", "throttled"),
    [
        (75.0, False, None, False),
        (75.0, True, None, True),
        (75.0, False, FirmwareFlags(throttled=True), True),
        (75.0, False, FirmwareFlags(freq_capped=True), True),
        (75.0, False, FirmwareFlags(soft_limit=True), True),
        # A weak supply has the clock lowered too.
        (75.0, False, FirmwareFlags(undervoltage=True, freq_capped=True, throttled=True), False),
        # And somebody may hold it down on a cold board.
        (40.0, True, None, False),
        (40.0, False, FirmwareFlags(freq_capped=True), False),
    ],
)
def test_a_clock_held_down_is_critical_if_heat_can_be_why(
    temp_c: float, kernel: bool, flags: FirmwareFlags | None, throttled: bool
) -> None:
    """By the kernel or the firmware, within 12 °C of the limit."""
    cool = after(Heat(), at(40.0), 60)
    heat = after(cool, at(temp_c, throttled_by_kernel=kernel, firmware=flags), 1, 60)

    assert heat.throttled == throttled
    assert (heat.level is Level.CRITICAL) == throttled
    assert (heat.effort.spent < 1.0) == throttled


def test_a_sensor_that_fails_is_hot() -> None:
    """Whatever the others say, and with half the effort."""
    heat = after(after(Heat(), at(30.0), 10), at(30.0, faulty=("bigcore2",)), 1, 10)

    assert heat.level is Level.HOT
    assert heat.effort.spent == BLIND_EFFORT


def test_the_last_sensor_that_fails_is_hot_too() -> None:
    """Nothing left to go by is no reason to be at ease."""
    heat = after(after(Heat(), at(30.0), 10), Readings(faulty=("cpu-thermal",)), 100, 10)

    assert heat.level is Level.HOT
    assert heat.effort.spent == BLIND_EFFORT


def test_a_board_without_sensors_is_not_held_back() -> None:
    """A container or virtual machine often has none."""
    heat = after(Heat(), Readings(freq_ratio=0.6), 10)

    assert heat.level is Level.UNKNOWN
    assert heat.effort.spent == 1.0


def test_without_sensors_a_clock_held_down_counts() -> None:
    """It is all there is to go by; it ends a while after it was last seen."""
    held = after(Heat(), Readings(throttled_by_kernel=True), 5)
    soon = after(held, Readings(), 10, 5)
    later = after(soon, Readings(), 30, 15)

    assert [heat.level for heat in (held, soon, later)] == [Level.HOT, Level.HOT, Level.UNKNOWN]
    assert held.effort.spent == BLIND_EFFORT
    assert later.effort.spent == 1.0


@pytest.mark.parametrize(
    ("zone", "paused"),
    [
        (Zone("cpu", 87.0, 80.0), False),
        (Zone("cpu", 89.0, 80.0), True),
        (Zone("cpu", 104.0, 80.0, 110.0), False),
        (Zone("cpu", 106.0, 80.0, 110.0), True),
        (Zone("cpu", 104.0, 105.0, 105.0), False),  # Intel names one temperature for both
    ],
)
def test_only_close_to_being_switched_off_it_pauses(zone: Zone, paused: bool) -> None:
    """Above its limit the kernel slows the board, and that is not the end of it."""
    assert after(Heat(), Readings(zones=(zone,)), 1).paused == paused


def test_a_pause_lasts_until_it_is_below_the_limit() -> None:
    """Not just below where it began."""
    paused = after(Heat(), at(106.0), 1)

    assert after(paused, at(90.0), 5, 1).paused
    assert not after(paused, at(79.0), 5, 1).paused
