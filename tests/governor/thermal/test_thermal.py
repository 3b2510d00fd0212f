"""Levels: worse at once, better after a while, and hot when nothing can be known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.limits import Level
from inglenook.governor.readings import FirmwareFlags, Neighbour, Readings, Zone
from inglenook.governor.thermal.thermal import BLIND_EFFORT, Heat, next_heat


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


SKIN = Neighbour("skin-temp-thermal", 50.0, 42.0, 60.0)


@pytest.mark.parametrize(
    ("readings", "held_by", "throttled"),
    [
        # The CPU is near its limit, but it is the case that is above its own.
        (at(75.0, throttled_by_kernel=True, neighbours=(SKIN,)), "skin-temp-thermal", False),
        (at(75.0, throttled_by_kernel=True, neighbours=(replace(SKIN, temp_c=36.0),)), None, True),
        (at(75.0, neighbours=(SKIN,)), None, False),
        # A mark that nobody can keep, and another above it.
        (
            Readings(zones=(Zone("cpu", 60.0, 67.0, 107.0, 47.0),), throttled_by_kernel=True),
            "cpu",
            False,
        ),
        # The kernel goes on for a while when it has become cooler.
        (
            Readings(zones=(Zone("cpu", 56.0, 67.0, 107.0, 58.0),), throttled_by_kernel=True),
            "cpu",
            False,
        ),
        # The worst of several.
        (
            Readings(
                zones=(Zone("cpu", 60.0, 67.0, 107.0, 47.0),),
                neighbours=(SKIN,),
                throttled_by_kernel=True,
            ),
            "cpu",
            False,
        ),
    ],
)
def test_a_clock_held_down_is_not_fought_where_that_would_not_cure_it(
    readings: Readings, held_by: str | None, throttled: bool
) -> None:
    """For the case, a regulator, or at a mark that no box at work can keep."""
    cool = after(Heat(), at(40.0), 60)
    heat = after(cool, readings, 1, 60)

    assert (heat.held_by.name if heat.held_by else None) == held_by
    assert heat.throttled is throttled
    assert (heat.level is Level.CRITICAL) is throttled


def test_it_is_not_fought_for_a_long_time_either() -> None:
    """Half an hour 12 °C below the limit: the kernel slows the processor, and we do not."""
    low = Readings(zones=(Zone("cpu", 55.0, 67.0, 107.0, 47.0),), throttled_by_kernel=True)

    assert after(Heat(), low, 1800).effort.spent >= 0.4


def test_without_sensors_a_clock_held_down_for_the_case_does_not_count() -> None:
    """Half the power would not cure that."""
    heat = after(Heat(), Readings(throttled_by_kernel=True, neighbours=(SKIN,)), 5)

    assert heat.level is Level.UNKNOWN
    assert heat.effort.spent == 1.0


def test_without_sensors_it_pauses_before_the_case_ends_it() -> None:
    """And goes on when that is cooler."""
    hot, cool = replace(SKIN, temp_c=58.5), replace(SKIN, temp_c=52.0)
    heat = after(Heat(), Readings(neighbours=(hot,)), 1)

    assert heat.paused
    assert not after(heat, Readings(neighbours=(cool,)), 1, 1).paused


def test_a_pause_lasts_until_it_is_below_the_limit() -> None:
    """Not just below where it began."""
    paused = after(Heat(), at(106.0), 1)

    assert after(paused, at(90.0), 5, 1).paused
    assert not after(paused, at(79.0), 5, 1).paused
