"""The law closes its loop over simulated boards (benchmarks/plant.py).

Half an hour each, in which all of them have become as hot as they get;
``python -m benchmarks.thermal`` holds the same claims for two hours.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from benchmarks.plant import N100_FANLESS, PI5_BARE, PI5_FAN, RK3588_PASSIVE, Board, Plant
from benchmarks.recovery import TWO_MINUTES_S, Relief, recover
from benchmarks.regimes import (
    CAPACITY,
    Course,
    FixedThresholds,
    Governed,
    best_constant,
    clocked,
    run,
    tokens_per_s,
)
from inglenook.governor.limits import Capacity, Level

MINUTES_30 = 1800

#: Board and room in °C. Those left out (a fan or a large heat sink in a cool room) never warm up.
WARM = (
    (PI5_BARE, 20.0),
    (PI5_BARE, 30.0),
    (PI5_BARE, 40.0),
    (PI5_FAN, 40.0),
    (RK3588_PASSIVE, 30.0),
    (RK3588_PASSIVE, 40.0),
    (N100_FANLESS, 30.0),
    (N100_FANLESS, 40.0),
)

each_board = pytest.mark.parametrize(
    ("board", "room_c"), WARM, ids=[f"{board.name}, {room_c:.0f} °C" for board, room_c in WARM]
)
#: Where nothing has to be limited, a clock that may be set makes no difference.
LIMITED = (WARM[0], WARM[2], WARM[5], WARM[7])
each_way = pytest.mark.parametrize(
    ("board", "room_c", "capacity"),
    [(*warm, CAPACITY) for warm in WARM] + [(*warm, clocked(warm[0])) for warm in LIMITED],
    ids=[f"{board.name}, {room_c:.0f} °C, pauses" for board, room_c in WARM]
    + [f"{board.name}, {room_c:.0f} °C, clock" for board, room_c in LIMITED],
)


@cache
def governed(board: Board, room_c: float, capacity: Capacity) -> Course:
    """More questions than it can answer."""
    return run(Plant(board, room_c), Governed(capacity), MINUTES_30)


@each_way
def test_no_board_ever_has_to_slow_itself_down(
    board: Board, room_c: float, capacity: Capacity
) -> None:
    """Not for a quarter of a second, and for all that close below where it would."""
    course = governed(board, room_c, capacity)

    assert course.throttled_s == 0.0
    assert course.peak_c < board.trip_c + 0.3


@each_way
def test_it_writes_what_the_best_constant_load_would(
    board: Board, room_c: float, capacity: Capacity
) -> None:
    """At least 95 % of what a search finds that knows the board and the room."""
    best = tokens_per_s(board, best_constant(board, room_c, capacity)) * MINUTES_30

    assert governed(board, room_c, capacity).tokens >= 0.95 * best


@each_board
def test_it_writes_more_than_fixed_thresholds_do(board: Board, room_c: float) -> None:
    """Fewer answers at 65 and 80 °C cost tokens and let the board be slowed all the same."""
    fixed = run(Plant(board, room_c), FixedThresholds(), MINUTES_30)

    # A bare board has its firmware lower its voltage all the time, and is hotter than it may be.
    # Only a lower clock makes up for the one, and nothing for 15 °C of the other.
    capacity = clocked(board) if board is PI5_BARE else CAPACITY
    course = governed(board, room_c, capacity)
    assert course.tokens > fixed.tokens or fixed.peak_c > board.trip_c + 10


@each_way
def test_nothing_swings_faster_than_once_a_minute(
    board: Board, room_c: float, capacity: Capacity
) -> None:
    """From one time that limits begin to fall to the next."""
    assert governed(board, room_c, capacity).fastest_s >= 60


WINDOW = Relief("a window is opened", 40.0, 20.0)
each_limited = pytest.mark.parametrize(
    ("board", "capacity"),
    [
        (board, capacity)
        for board in (PI5_BARE, RK3588_PASSIVE, N100_FANLESS)
        for capacity in (CAPACITY, clocked(board))
    ],
    ids=lambda value: value.name if isinstance(value, Board) else f"{len(value.clocks)} clocks",
)


@each_limited
def test_a_window_that_is_opened_is_used_as_soon_as_can_be(
    board: Board, capacity: Capacity
) -> None:
    """From 40 to 20 °C: after two minutes nearly what a law could have that knew everything.

    The die is at its limit and the board below it still warm: what it sheds in two minutes is all
    that may be added by then. No board is slowed on the way, and nothing swings.
    """
    recovery = recover(board, capacity, WINDOW, after_s=1200)

    assert recovery.soon >= 0.85 * recovery.soonest
    assert recovery.seconds <= max(TWO_MINUTES_S, 1.7 * recovery.soonest_s)
    assert recovery.course.throttled_s == 0.0
    assert recovery.course.fastest_s >= 60


@each_limited
def test_the_end_of_others_work_is_used_within_two_minutes(
    board: Board, capacity: Capacity
) -> None:
    """Their heat leaves the die at once, and there is nothing to wait for."""
    room_c, other_w = {
        PI5_BARE.name: (20.0, 1.2),
        RK3588_PASSIVE.name: (35.0, 2.0),
        N100_FANLESS.name: (35.0, 4.0),
    }[board.name]
    relief = Relief("others end", room_c, room_c, other_w)
    recovery = recover(board, capacity, relief, after_s=1200)

    assert recovery.seconds < TWO_MINUTES_S
    assert recovery.course.throttled_s == 0.0
    assert recovery.course.fastest_s >= 60


def test_bursts_run_at_full_power_and_rest_brings_it_back() -> None:
    """Twenty seconds of work every five minutes on a bare board in a cool room is never limited."""
    plant, governor = Plant(PI5_BARE, 20.0), Governed()
    course = run(plant, governor, 1800, lambda second: 8 if second % 300 < 20 else 0)

    assert course.throttled_s == 0.0
    assert {decision.duty for decision in governor.decisions} == {1.0}


def test_a_box_at_rest_in_the_sun_begins_with_what_it_may() -> None:
    """At 40 °C a bare board has no room for the jump of its die, and is not made to jump."""
    plant, governor = Plant(PI5_BARE, 40.0), Governed()
    run(plant, governor, 600, lambda _second: 0)
    course = run(plant, lambda readings, now, busy: governor(readings, 600 + now, busy), 600)

    assert course.throttled_s == 0.0


def test_the_level_does_not_flap() -> None:
    """One line in the log for each change: a handful in two hours at the limit."""
    governor = Governed()
    run(Plant(RK3588_PASSIVE, 40.0), governor, MINUTES_30)
    levels = [decision.level for decision in governor.decisions]

    changes = sum(before is not after for before, after in pairwise(levels))
    assert changes <= 6
    assert levels[-1] is Level.HOT
