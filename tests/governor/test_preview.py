"""What the governor says it would do is what its law does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.preview import allowed, heat_marks, memory_shortages
from inglenook.governor.readings import MemoryReadings, Readings, Zone

GIB, MIB = 2**30, 2**20
CAPACITY = Capacity(8, 4, ram_cache_bytes=GIB)
PI_5 = Zone("cpu-thermal", 45.0, 80.0, 110.0)
ALL = Decision(Level.COOL, LimitReason.NONE, 8, 4, 1.0, 1.0, 0.2, GIB, True, False, None, "")


def test_heat_goes_from_everything_to_nothing() -> None:
    """Each mark is hotter than the one before, and no level is left out."""
    marks = heat_marks(PI_5, CAPACITY)

    assert [mark.at for mark in marks] == sorted({mark.at for mark in marks})
    assert list(dict.fromkeys(mark.level for mark in marks)) == [
        Level.COOL,
        Level.WARM,
        Level.HOT,
        Level.CRITICAL,
    ]
    assert marks[0].does == "everything goes on"
    assert marks[-1].does == "nothing is computed, answers wait"


def test_less_is_done_before_the_board_slows_itself_down() -> None:
    """That is what the governor is for; at the limit itself it is much less."""
    marks = heat_marks(PI_5, CAPACITY)
    less = next(mark for mark in marks if mark.does != "everything goes on")
    critical = next(mark for mark in marks if mark.level is Level.CRITICAL)

    assert PI_5.passive_c - 3 < less.at < PI_5.passive_c
    assert critical.at == PI_5.passive_c
    assert "4 of 8 answers at once" in critical.does


@pytest.mark.parametrize("passive_c", [75.0, 85.0, 100.0])
def test_marks_move_with_the_limit(passive_c: float) -> None:
    """The same things happen, so many degrees away from it; but when all stops is the board's."""
    marks = heat_marks(replace(PI_5, passive_c=passive_c), CAPACITY)

    moved = [mark.at - passive_c for mark in marks[:-1]]
    assert moved == [mark.at - PI_5.passive_c for mark in heat_marks(PI_5, CAPACITY)[:-1]]


@pytest.mark.parametrize(
    ("memory", "first_bytes"),
    [
        (MemoryReadings(8 * GIB), 8 * GIB // 20),
        (MemoryReadings(1 * GIB), 128 * MIB),
        (MemoryReadings(8 * GIB, limit_bytes=4 * GIB), 4 * GIB // 20),
    ],
)
def test_memory_runs_short_twice(memory: MemoryReadings, first_bytes: int) -> None:
    """At the reserve, of the box or of its control group; and at half of it, where all ends."""
    first, second = memory_shortages(memory, CAPACITY)

    assert 0 <= first.below_bytes - first_bytes <= MIB
    assert 0 <= second.below_bytes - first_bytes // 2 <= MIB
    assert first.course[0].does == second.course[0].does == "no new questions"
    assert first.course[-1].does == "1 of 8 answers at once, no cache in memory, no new questions"
    assert second.course[-1].does == "the model is unloaded, answers wait"


def test_the_course_of_a_shortage_is_the_laws() -> None:
    """Second by second."""
    [shortage, _] = memory_shortages(MemoryReadings(8 * GIB), CAPACITY)
    readings = Readings(memory=MemoryReadings(8 * GIB, shortage.below_bytes - MIB))
    state, course = PolicyState(), dict[float, str]()
    for now in range(120):
        state, decision = decide(state, readings, CAPACITY, float(now), busy=True)
        course[now] = allowed(decision, CAPACITY)

    for mark in shortage.course:
        assert course[mark.at] == mark.does
    assert set(course.values()) == {mark.does for mark in shortage.course}


def test_without_memory_to_tell_of_nothing_is_said() -> None:
    """As where there is no meminfo."""
    assert memory_shortages(MemoryReadings(), CAPACITY) == []


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (ALL, "everything goes on"),
        (replace(ALL, duty=0.57), "computes 57 % of the time"),
        (replace(ALL, threads=3), "3 of 4 threads"),
        (replace(ALL, duty=0.9, clock=0.625), "computes 90 % of the time, at 62 % of the clock"),
        (replace(ALL, max_active=4), "4 of 8 answers at once"),
        (replace(ALL, ram_cache_bytes=GIB // 2), "half of the cache"),
        (replace(ALL, ram_cache_bytes=0), "no cache in memory"),
        (replace(ALL, admit=False), "no new questions"),
        (replace(ALL, duty=0.5, admit=False), "computes 50 % of the time, no new questions"),
        (replace(ALL, duty=0.0, admit=False), "nothing is computed, answers wait"),
        (replace(ALL, unload=True, admit=False), "the model is unloaded, answers wait"),
    ],
)
def test_only_what_is_less_than_everything_is_said(decision: Decision, words: str) -> None:
    """In few words."""
    assert allowed(decision, CAPACITY) == words
