"""What is left of memory is what both the box and the control group leave."""

from __future__ import annotations

import pytest

from inglenook.governor.readings import MemoryReadings, Readings, Zone


@pytest.mark.parametrize(
    ("memory", "left_bytes"),
    [
        (MemoryReadings(), None),
        (MemoryReadings(available_bytes=700), 700),
        (MemoryReadings(limit_bytes=1000, used_bytes=400), 600),
        (MemoryReadings(available_bytes=700, limit_bytes=1000, used_bytes=400), 600),
        (MemoryReadings(available_bytes=500, limit_bytes=1000, used_bytes=400), 500),
        (MemoryReadings(available_bytes=500, limit_bytes=1000), 500),
        (MemoryReadings(available_bytes=500, limit_bytes=1000, used_bytes=1100), 0),
    ],
)
def test_the_tighter_of_the_two_counts(memory: MemoryReadings, left_bytes: int | None) -> None:
    """An unknown one does not."""
    assert memory.left_bytes == left_bytes


def test_the_hottest_sensor_is_the_one_nearest_to_its_own_limit() -> None:
    """Which need not be the one with the highest reading."""
    little, big = Zone("little", 84.0, 95.0), Zone("big", 80.0, 85.0)

    assert Readings(zones=(little, big)).hottest == big
    assert Readings().hottest is None
