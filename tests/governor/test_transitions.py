"""Not every change of a decision is worth a line in the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.transitions import Transition, turn, unlimited
from tests.parts.decisions import FREE

#: Each is worse than the one before it.
DOWNHILL = [
    FREE,
    replace(FREE, max_active=7),
    replace(FREE, reason=LimitReason.THERMAL),
    replace(FREE, level=Level.WARM),
    replace(FREE, level=Level.HOT, reason=LimitReason.THERMAL),
    replace(FREE, level=Level.CRITICAL, reason=LimitReason.THERMAL, max_active=4),
    replace(FREE, admit=False, reason=LimitReason.MEMORY),
    replace(FREE, admit=False, reason=LimitReason.MEMORY, max_active=1),
    replace(FREE, duty=0.0, admit=False, level=Level.CRITICAL, reason=LimitReason.THERMAL),
    replace(FREE, unload=True, admit=False, reason=LimitReason.MEMORY, max_active=1),
]


@pytest.mark.parametrize("place", range(len(DOWNHILL) - 1))
def test_every_step_down_is_one_for_the_worse_and_back_one_for_the_better(place: int) -> None:
    """What stops the box altogether weighs more than what slows it down."""
    better, worse = DOWNHILL[place], DOWNHILL[place + 1]

    assert turn(better, worse) is Transition.WORSE
    assert turn(worse, better) is Transition.BETTER


def test_what_moves_all_the_time_is_no_turn() -> None:
    """Or the log would have a line a second while a board warms up."""
    hot = replace(FREE, level=Level.HOT, reason=LimitReason.THERMAL)
    moved = replace(hot, threads=3, duty=0.6, step_budget_s=0.1, eta_s=12.0, sentence="79 °C")

    assert turn(hot, moved) is Transition.NONE


@pytest.mark.parametrize(
    ("first", "expected"),
    [(FREE, Transition.BETTER), (replace(FREE, reason=LimitReason.POWER), Transition.WORSE)],
)
def test_the_first_decision_is_always_worth_a_line(first: Decision, expected: Transition) -> None:
    """It says what the board has to tell with."""
    assert turn(None, first) is expected


def test_without_limits_only_the_level_is_left() -> None:
    """The owner wants it so, and reads in the sentence that it is so."""
    worst = replace(DOWNHILL[-1], level=Level.CRITICAL, duty=0.0, threads=1, ram_cache_bytes=0)
    capacity = Capacity(max_active=8, threads=4, ram_cache_bytes=1000)

    free = unlimited(worst, capacity)

    assert free == replace(FREE, level=Level.CRITICAL, sentence=free.sentence)
    assert "governor.enabled is false" in free.sentence
