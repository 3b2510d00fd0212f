"""Where a zone's trip points say that its processor is slowed down."""

from __future__ import annotations

import pytest

from inglenook.governor.sensor import Source, ThermalZone, Tie, Trip
from inglenook.governor.trips import Told, before_end, can_be, told_by

CRITICAL = Trip("critical", 115.0)


def told(*trips: Trip, policy: str = "step_wise", name: str = "cpu-thermal") -> Told:
    return told_by(ThermalZone(name, "/sys/t", policy, trips=trips))


def passive(temp_c: float, tie: Tie = Tie.CPU) -> Trip:
    return Trip("passive", temp_c, tie)


def active(temp_c: float, tie: Tie = Tie.CPU) -> Trip:
    return Trip("active", temp_c, tie)


@pytest.mark.parametrize(
    ("trips", "limit_c"),
    [
        ((), None),
        ((CRITICAL,), None),
        ((passive(85.0), CRITICAL), 85.0),
        ((passive(85.0), passive(75.0)), 75.0),
        # Nothing happens at a mark to which nothing is tied ...
        ((passive(60.0, Tie.NOTHING), passive(70.0, Tie.NOTHING), CRITICAL), None),
        ((passive(75.0, Tie.NOTHING), passive(85.0)), 85.0),
        # ... or a fan only.
        ((passive(30.0, Tie.OTHER), active(50.0, Tie.OTHER), CRITICAL), None),
        ((passive(60.0, Tie.OTHER), passive(70.0)), 70.0),
        # What is tied to the processor slows it down, called active or passive.
        ((active(70.0), active(85.0), Trip("active", 110.0), CRITICAL), 70.0),
        ((active(50.0, Tie.OTHER), active(95.0)), 95.0),
        # Hot does not.
        ((Trip("hot", 95.0), CRITICAL), None),
        ((passive(80.0, Tie.OTHER), Trip("hot", 90.0, Tie.CPU)), None),
        # Nobody can keep below 47 °C.
        ((passive(47.0), active(67.0), Trip("critical", 107.0)), 67.0),
        ((passive(55.0), Trip("critical", 85.0)), None),
        ((passive(60.0),), 60.0),
        # And what is no temperature is none.
        ((passive(-274.0), passive(0.0)), None),
    ],
)
def test_a_limit_is_where_the_processor_is_slowed_down(
    trips: tuple[Trip, ...], limit_c: float | None
) -> None:
    """By what is tied to a trip point, whatever kind it says it is."""
    assert told(*trips).limit_c == limit_c


def test_one_policy_begins_at_the_first_passive_mark() -> None:
    """Though nothing is tied to that; but not where the processor is not slowed down at all."""
    trips = (passive(75.0, Tie.NOTHING), passive(85.0))

    assert told(*trips).limit_c == 85.0
    assert told(*trips, policy="power_allocator").limit_c == 75.0
    assert told(passive(75.0, Tie.NOTHING), policy="power_allocator").limit_c is None
    assert told(passive(30.0, Tie.OTHER), *trips, policy="power_allocator").limit_c == 75.0


@pytest.mark.parametrize(
    ("trips", "slows_from_c"),
    [
        ((passive(47.0), active(67.0)), 47.0),
        ((passive(85.0), CRITICAL), 85.0),
        ((passive(30.0, Tie.OTHER), passive(60.0, Tie.NOTHING), CRITICAL), None),
    ],
)
def test_where_the_kernel_begins_is_told_as_well(
    trips: tuple[Trip, ...], slows_from_c: float | None
) -> None:
    """Which nobody may be able to keep."""
    assert told(*trips).slows_from_c == slows_from_c


@pytest.mark.parametrize(
    ("trips", "hint_c"),
    [
        ((passive(85.0, Tie.NOTHING), passive(95.0, Tie.NOTHING)), 85.0),
        ((passive(75.0, Tie.NOTHING), passive(95.0, Tie.NOTHING)), 95.0),
        ((passive(75.0, Tie.NOTHING),), None),
        ((passive(90.0, Tie.OTHER), Trip("active", 90.0)), None),
    ],
)
def test_a_high_mark_without_a_tie_is_a_hint(trips: tuple[Trip, ...], hint_c: float | None) -> None:
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
        ((Trip("critical", 82.0),), 77.0),
        ((Trip("critical", 102.5), Trip("critical", 96.5, Tie.OTHER)), 91.5),
        ((Trip("hot", 80.0),), 80.0),
        ((Trip("hot", 95.0, Tie.CPU), CRITICAL), 95.0),
        ((Trip("hot", 120.0), Trip("critical", 125.0)), 120.0),
        # A fan's, and one that nobody can keep.
        ((Trip("hot", 70.0, Tie.OTHER), CRITICAL), 110.0),
        ((Trip("hot", 50.0), Trip("critical", 75.0)), 70.0),
        ((Trip("critical", 2147483.6),), float("inf")),
    ],
)
def test_what_may_be_assumed_has_a_bound(trips: tuple[Trip, ...], most_c: float) -> None:
    """By where it is hot, and by where the board shuts down."""
    assert told(*trips).most_c == most_c


def test_marks_that_any_program_may_set_are_no_limit() -> None:
    """thermald sets those of Intel's package to be woken."""
    package = told(passive(62.0), passive(95.0, Tie.NOTHING), CRITICAL, name="x86_pkg_temp")

    assert (package.limit_c, package.hint_c, package.critical_c) == (None, None, 115.0)


def test_a_limit_says_which_kind_of_mark_it_is() -> None:
    """For the operator."""
    assert told(passive(85.0)).source is Source.PASSIVE
    assert told(passive(47.0), active(67.0)).source is Source.ACTIVE


@pytest.mark.parametrize(("temp_c", "can"), [(-274, False), (0, False), (47, True), (155, False)])
def test_what_can_be_a_mark(temp_c: float, can: bool) -> None:
    """Drivers have their ways of saying none."""
    assert can_be(temp_c) is can
