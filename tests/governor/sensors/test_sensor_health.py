"""When a temperature is believed, passed over, or the end of trust."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.governor.sensors.sensor_health import (
    DOUBTS,
    LEAST_C,
    MOST_C,
    REDEEMING,
    REST_S,
    WORK_S,
    SensorFault,
    SensorHistory,
    assess,
)


def after(
    readings: Iterable[float | None], *, cores: float = 0.0, past: SensorHistory | None = None
) -> SensorHistory | None:
    """What is remembered after one reading a second."""
    start_s = 0.0 if past is None else past.at_s + past.doubts + past.redeeming
    for second, reading_c in enumerate(readings, start=1):
        past = assess(past, reading_c, cores, start_s + second)
    return past


def trusted(past: SensorHistory | None) -> float | None:
    """The temperature that counts; None if there is none, or no trust."""
    return None if past is None or past.fault is not None else past.temp_c


@pytest.mark.parametrize("reading_c", [None, 0.0, -273.15, -40.1, 150.1, 255.0, 2147483.6])
def test_what_was_never_there_is_not_missed(reading_c: float | None) -> None:
    """However often it is asked."""
    assert after([reading_c] * 10) is None


@pytest.mark.parametrize(
    ("readings", "temp_c"),
    [
        ([45.0], 45.0),
        ([LEAST_C], LEAST_C),
        ([MOST_C], MOST_C),
        ([45.0, None], 45.0),
        ([45.0, None, None], 45.0),
        ([45.0, None, None, None], None),
        ([45.0, 0.0, 255.0, -273.0], None),
        ([45.0, None, None, 46.0, None, None, 47.0], 47.0),
        ([45.0, 70.0], 70.0),
        ([45.0, 71.0], 45.0),
        ([45.0, 71.0, 71.0], 71.0),
        ([95.0, 30.0, 30.0], 95.0),
        ([95.0, 30.0, 30.0, 30.0], 30.0),
        ([45.0, 145.0, 145.0, 145.0], None),
        ([45.0, 145.0, 145.0, 145.0, 145.0, 145.0], None),
        ([45.0, 145.0, 145.0, 145.0, 145.0, 145.0, 145.0], 145.0),
        ([45.0, None, None, None, 50.0, 50.0], None),
        ([45.0, None, None, None, 50.0, 50.0, 51.0], 51.0),
        ([45.0, None, None, None, 50.0, 90.0, 50.0, 90.0, 50.0], None),
        ([45.0, None, None, None, 50.0, None, 50.0, 50.0], None),
    ],
)
def test_two_bad_readings_are_passed_over(
    readings: list[float | None], temp_c: float | None
) -> None:
    """The third is a fault, and three good ones that fit together end it."""
    assert trusted(after(readings)) == temp_c


def test_a_gap_allows_a_jump() -> None:
    """After a suspend the chip is as cold as the room."""
    past = assess(SensorHistory(80.0, 100.0), 20.0, 0.0, 160.0)

    assert trusted(past) == 20.0


def test_standing_still_is_no_fault_at_rest() -> None:
    """A board with steps of 1 °C may show one number all night."""
    assert trusted(after([40.0] * 3600)) == 40.0


def test_standing_still_is_no_fault_at_work() -> None:
    """A fan may hold it, and short pauses do not cool it."""
    past = after([70.0])
    for _ in range(30):
        past = after([70.0] * 110, cores=4.0, past=past)
        past = after([70.0] * int(REST_S / 2), past=past)

    assert trusted(past) == 70.0


def test_standing_still_through_rest_and_work_is_a_fault() -> None:
    """So much heat shows in any sensor that works."""
    past = after([50.0] * (int(REST_S) + 1))
    past = after([50.0] * (int(WORK_S) - 1), cores=4.0, past=past)
    assert trusted(past) == 50.0

    past = after([50.0], cores=4.0, past=past)
    assert past is not None
    assert past.fault is SensorFault.STUCK

    past = after([50.0] * 100, past=past)
    assert trusted(past) is None, "the same value again proves nothing"

    assert trusted(after([51.0] * REDEEMING, past=past)) == 51.0


def test_half_work_proves_nothing() -> None:
    """A core in use now and then may not warm the chip by a degree."""
    past = after([50.0] * (int(REST_S) + 1))

    assert trusted(after([50.0] * 1000, cores=0.5, past=past)) == 50.0


@given(st.lists(st.none() | st.floats(-300, 300), max_size=60))
def test_nothing_incredible_is_ever_trusted(readings: list[float | None]) -> None:
    """And the sensor is faulty whenever it has been bad for longer than is passed over."""
    past: SensorHistory | None = None
    silent = 0
    for second, reading_c in enumerate(readings):
        past = assess(past, reading_c, 0.0, float(second))
        good = reading_c is not None and LEAST_C <= reading_c <= MOST_C and reading_c != 0
        silent = 0 if good else silent + 1
        temp_c = trusted(past)
        assert temp_c is None or (LEAST_C <= temp_c <= MOST_C and temp_c != 0)
        if past is not None and silent > DOUBTS:
            assert past.fault is not None
