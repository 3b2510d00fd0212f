"""The law closes its loop over simulated boards (benchmarks/plant.py), two hours each."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from benchmarks.plant import N100_FANLESS, PI5_BARE, PI5_FAN, RK3588_PASSIVE, Board, Plant
from benchmarks.regimes import (
    CAPACITY,
    CLOCKED,
    Course,
    FixedThresholds,
    Governed,
    best_constant,
    run,
    tokens_per_s,
)
from inglenook.governor.limits import Capacity, Level

HOURS_2 = 7200

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
    [(*warm, CAPACITY) for warm in WARM] + [(*warm, CLOCKED) for warm in LIMITED],
    ids=[f"{board.name}, {room_c:.0f} °C, pauses" for board, room_c in WARM]
    + [f"{board.name}, {room_c:.0f} °C, clock" for board, room_c in LIMITED],
)


@cache
def governed(board: Board, room_c: float, capacity: Capacity) -> Course:
    """Two hours of more questions than it can answer."""
    return run(Plant(board, room_c), Governed(capacity), HOURS_2)


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
    best = tokens_per_s(board, best_constant(board, room_c, capacity)) * HOURS_2

    assert governed(board, room_c, capacity).tokens >= 0.95 * best


@each_board
def test_it_writes_more_than_fixed_thresholds_do(board: Board, room_c: float) -> None:
    """Fewer answers at 65 and 80 °C cost tokens and let the board be slowed all the same."""
    fixed = run(Plant(board, room_c), FixedThresholds(), HOURS_2)

    # On a bare board in a hot room, those have its firmware slow it all the time; pauses alone
    # cannot make up for that, a lower clock can.
    bare_and_hot = (board, room_c) == (PI5_BARE, 40.0)
    capacity = CLOCKED if bare_and_hot else CAPACITY
    assert governed(board, room_c, capacity).tokens > fixed.tokens


@each_way
def test_nothing_swings_faster_than_once_a_minute(
    board: Board, room_c: float, capacity: Capacity
) -> None:
    """From one time that limits begin to fall to the next."""
    turns = governed(board, room_c, capacity).reversals_s()

    assert all(later - earlier >= 60 for earlier, later in pairwise(turns))


@pytest.mark.parametrize(
    ("board", "capacity", "seconds"),
    [
        (RK3588_PASSIVE, CAPACITY, 60),
        (RK3588_PASSIVE, CLOCKED, 60),
        (N100_FANLESS, CAPACITY, 120),
        (N100_FANLESS, CLOCKED, 120),
        (PI5_BARE, CAPACITY, 240),
        (PI5_BARE, CLOCKED, 240),
    ],
)
def test_a_window_that_is_opened_is_used(board: Board, capacity: Capacity, seconds: int) -> None:
    """From 40 to 20 °C: at three quarters of what is possible then, and not slowed on the way."""
    plant, governor = Plant(board, 40.0), Governed(capacity)
    run(plant, governor, 3600)
    plant.room_c = 20.0
    run(plant, lambda readings, now, busy: governor(readings, 3600 + now, busy), seconds)
    start_s = 3600 + seconds
    later = run(plant, lambda readings, now, busy: governor(readings, start_s + now, busy), 60)

    best = tokens_per_s(board, best_constant(board, 20.0, capacity)) * 60
    assert later.tokens >= 0.75 * best
    assert later.throttled_s == 0.0


def test_bursts_run_at_full_power_and_rest_brings_it_back() -> None:
    """Twenty seconds of work every five minutes on a bare board in a cool room is never limited."""
    plant, governor = Plant(PI5_BARE, 20.0), Governed()
    course = run(plant, governor, 3600, lambda second: 8 if second % 300 < 20 else 0)

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
    run(Plant(RK3588_PASSIVE, 40.0), governor, HOURS_2)
    levels = [decision.level for decision in governor.decisions]

    changes = sum(before is not after for before, after in pairwise(levels))
    assert changes <= 6
    assert levels[-1] is Level.HOT
