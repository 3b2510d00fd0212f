"""Computing pauses before the board is switched off, and not long before."""

from __future__ import annotations

import pytest

from inglenook.governor.readings import Neighbour, Readings, Zone
from inglenook.governor.thermal.pausing import (
    must_pause,
    neighbour_again_c,
    neighbour_pause_c,
    pause_c,
    pausing_neighbour,
)


@pytest.mark.parametrize(
    ("passive_c", "critical_c", "from_c"),
    [
        (80.0, None, 88.0),
        (85.0, 115.0, 110.0),
        (80.0, 110.0, 105.0),
        (80.0, 90.0, 88.0),
        # Switched off 8 °C above the limit, or less.
        (120.0, 125.0, 123.0),
        (95.0, 100.0, 98.0),
        (79.0, 84.0, 82.0),
        (93.0, 96.5, 94.5),
        # Intel's processors name one temperature for both.
        (105.0, 105.0, 105.5),
    ],
)
def test_a_pause_comes_before_the_end(
    passive_c: float, critical_c: float | None, from_c: float
) -> None:
    """2 °C before it at the latest."""
    assert pause_c(passive_c, critical_c) == from_c


def at(*zones: Zone) -> Readings:
    return Readings(zones=zones)


SOC = Zone("soc-thermal", 70.0, 79.0, 84.0)


@pytest.mark.parametrize(
    ("readings", "before", "paused"),
    [
        (at(Zone("cpu", 109.9, 85.0, 115.0)), False, False),
        (at(Zone("cpu", 110.0, 85.0, 115.0)), False, True),
        (at(Zone("cpu", 86.0, 85.0, 115.0)), False, False),
        (at(Zone("cpu", 86.0, 85.0, 115.0)), True, True),
        (at(Zone("cpu", 85.0, 85.0, 115.0)), True, False),
        # Not the one farthest above its limit, but the one that is nearest to its end.
        (at(Zone("cpu", 92.0, 85.0, 115.0), Zone("soc", 82.0, 79.0, 84.0)), False, True),
        (at(), True, False),
    ],
)
def test_one_sensor_is_enough(readings: Readings, before: bool, paused: bool) -> None:
    """And a pause lasts until all are below their limits."""
    assert must_pause(readings, paused=before) is paused


@pytest.mark.parametrize(
    ("temp_c", "critical_c", "before", "paused"),
    [
        (57.9, 60.0, False, False),
        (58.0, 60.0, False, True),
        (53.0, 60.0, True, True),
        (52.9, 60.0, True, False),
        (99.0, None, True, False),
    ],
)
def test_a_case_ends_it_too(
    temp_c: float, critical_c: float | None, before: bool, paused: bool
) -> None:
    """Whatever can be done about it; until it is 5 °C cooler."""
    skin = Neighbour("skin-temp-thermal", temp_c, 42.0, critical_c)
    readings = Readings(zones=(SOC,), neighbours=(skin,))

    assert must_pause(readings, paused=before) is paused
    assert (pausing_neighbour(readings) == skin) is (critical_c is not None and temp_c >= 53.0)


def test_it_is_told_in_degrees() -> None:
    """For the operator."""
    assert neighbour_pause_c(60.0) == 58.0
    assert neighbour_again_c(60.0) == 53.0
