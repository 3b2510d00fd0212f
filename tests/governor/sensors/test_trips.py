"""Where a zone's trip points say that its processor is slowed down."""

from __future__ import annotations

import pytest

from inglenook.governor.sensors.sensor import CoolingBinding, LimitSource, ThermalZone, TripPoint
from inglenook.governor.sensors.trips import TripLimits, before_end, can_be, told_by

CRITICAL = TripPoint("critical", 115.0)


def told(*trips: TripPoint, policy: str = "step_wise", name: str = "cpu-thermal") -> TripLimits:
    return told_by(ThermalZone(name, "/sys/t", policy, trips=trips))


def passive(temp_c: float, tie: CoolingBinding = CoolingBinding.CPU) -> TripPoint:
    return TripPoint("passive", temp_c, tie)


def active(temp_c: float, tie: CoolingBinding = CoolingBinding.CPU) -> TripPoint:
    return TripPoint("active", temp_c, tie)


@pytest.mark.parametrize(
    ("trips", "limit_c"),
    [
        ((), None),
        ((CRITICAL,), None),
        ((passive(85.0), CRITICAL), 85.0),
        ((passive(85.0), passive(75.0)), 75.0),
        # Nothing happens at a mark to which nothing is tied ...
        (
            (
                passive(60.0, CoolingBinding.NOTHING),
                passive(70.0, CoolingBinding.NOTHING),
                CRITICAL,
            ),
            None,
        ),
        ((passive(75.0, CoolingBinding.NOTHING), passive(85.0)), 85.0),
        # ... or a fan only.
        ((passive(30.0, CoolingBinding.OTHER), active(50.0, CoolingBinding.OTHER), CRITICAL), None),
        ((passive(60.0, CoolingBinding.OTHER), passive(70.0)), 70.0),
        # What is tied to the processor slows it down, called active or passive.
        ((active(70.0), active(85.0), TripPoint("active", 110.0), CRITICAL), 70.0),
        ((active(50.0, CoolingBinding.OTHER), active(95.0)), 95.0),
        # Hot does not.
        ((TripPoint("hot", 95.0), CRITICAL), None),
        ((passive(80.0, CoolingBinding.OTHER), TripPoint("hot", 90.0, CoolingBinding.CPU)), None),
        # Nobody can keep below 47 °C.
        ((passive(47.0), active(67.0), TripPoint("critical", 107.0)), 67.0),
        ((passive(55.0), TripPoint("critical", 85.0)), None),
        ((passive(60.0),), 60.0),
        # And what is no temperature is none.
        ((passive(-274.0), passive(0.0)), None),
    ],
)
def test_a_limit_is_where_the_processor_is_slowed_down(
    trips: tuple[TripPoint, ...], limit_c: float | None
) -> None:
    """By what is tied to a trip point, whatever kind it says it is."""
    assert told(*trips).limit_c == limit_c


def test_one_policy_begins_at_the_first_passive_mark() -> None:
    """Though nothing is tied to that; but not where the processor is not slowed down at all."""
    trips = (passive(75.0, CoolingBinding.NOTHING), passive(85.0))

    assert told(*trips).limit_c == 85.0
    assert told(*trips, policy="power_allocator").limit_c == 75.0
    assert told(passive(75.0, CoolingBinding.NOTHING), policy="power_allocator").limit_c is None
    assert (
        told(passive(30.0, CoolingBinding.OTHER), *trips, policy="power_allocator").limit_c == 75.0
    )


@pytest.mark.parametrize(
    ("trips", "slows_from_c"),
    [
        ((passive(47.0), active(67.0)), 47.0),
        ((passive(85.0), CRITICAL), 85.0),
        (
            (passive(30.0, CoolingBinding.OTHER), passive(60.0, CoolingBinding.NOTHING), CRITICAL),
            None,
        ),
    ],
)
def test_where_the_kernel_begins_is_told_as_well(
    trips: tuple[TripPoint, ...], slows_from_c: float | None
) -> None:
    """Which nobody may be able to keep."""
    assert told(*trips).slows_from_c == slows_from_c


@pytest.mark.parametrize(
    ("trips", "hint_c"),
    [
        ((passive(85.0, CoolingBinding.NOTHING), passive(95.0, CoolingBinding.NOTHING)), 85.0),
        ((passive(75.0, CoolingBinding.NOTHING), passive(95.0, CoolingBinding.NOTHING)), 95.0),
        ((passive(75.0, CoolingBinding.NOTHING),), None),
        ((passive(90.0, CoolingBinding.OTHER), TripPoint("active", 90.0)), None),
    ],
)
def test_a_high_mark_without_a_tie_is_a_hint(
    trips: tuple[TripPoint, ...], hint_c: float | None
) -> None:
    """Below 85 °C makers have put them for whatever reason."""
    assert told(*trips).hint_c == hint_c


@pytest.mark.parametrize(
    ("limit_c", "critical_c", "left_c"),
    [(85.0, None, 85.0), (85.0, 95.0, 85.0), (93.0, 96.5, 93.0), (100.0, 101.0, 98.0)],
)
def test_a_limit_leaves_room_for_a_pause(
    limit_c: float, critical_c: float | None, left_c: float
) -> None:
    """Before the board shuts down."""
    assert before_end(limit_c, critical_c) == left_c


@pytest.mark.parametrize(
    ("trips", "most_c"),
    [
        ((), float("inf")),
        ((TripPoint("critical", 82.0),), 77.0),
        ((TripPoint("critical", 102.5), TripPoint("critical", 96.5, CoolingBinding.OTHER)), 91.5),
        ((TripPoint("hot", 80.0),), 80.0),
        ((TripPoint("hot", 95.0, CoolingBinding.CPU), CRITICAL), 95.0),
        ((TripPoint("hot", 120.0), TripPoint("critical", 125.0)), 120.0),
        # A fan's, and one that nobody can keep.
        ((TripPoint("hot", 70.0, CoolingBinding.OTHER), CRITICAL), 110.0),
        ((TripPoint("hot", 50.0), TripPoint("critical", 75.0)), 70.0),
        ((TripPoint("critical", 2147483.6),), float("inf")),
    ],
)
def test_what_may_be_assumed_has_a_bound(trips: tuple[TripPoint, ...], most_c: float) -> None:
    """By where it is hot, and by where the board shuts down."""
    assert told(*trips).most_c == most_c


def test_marks_that_any_program_may_set_are_no_limit() -> None:
    """thermald sets those of Intel's package to be woken."""
    package = told(
        passive(62.0), passive(95.0, CoolingBinding.NOTHING), CRITICAL, name="x86_pkg_temp"
    )

    assert (package.limit_c, package.hint_c, package.critical_c) == (None, None, 115.0)


def test_a_limit_says_which_kind_of_mark_it_is() -> None:
    """For the operator."""
    assert told(passive(85.0)).source is LimitSource.PASSIVE
    assert told(passive(47.0), active(67.0)).source is LimitSource.ACTIVE


@pytest.mark.parametrize(("temp_c", "can"), [(-274, False), (0, False), (47, True), (155, False)])
def test_what_can_be_a_mark(temp_c: float, can: bool) -> None:
    """Drivers have their ways of saying none."""
    assert can_be(temp_c) is can
