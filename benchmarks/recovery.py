"""How soon a box that heat holds back is as quick as it may be once there is less heat.

Kind: rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.plant import JITTER_C, THREADS, Board, Plant
from benchmarks.regimes import (
    ANSWERS,
    CAPACITY,
    Course,
    Governed,
    best_constant,
    run,
    tokens_per_s,
)
from inglenook.governor.limits import Capacity

#: How long it was hot, and how long it is watched after.
_HOT_S, _WATCHED_S = 3600, 600

#: Recovered: as many tokens as this share of what is possible in the end, from then on, over so
#: many seconds.
_SHARE, _OVER_S = 0.9, 30
TWO_MINUTES_S = 120


@dataclass(frozen=True, slots=True)
class Relief:
    """What becomes less.

    Attributes:
        name: For people.
        from_c: The room until then.
        to_c: The room from then on.
        other_w: What other programs add to the heat until then.
    """

    name: str
    from_c: float
    to_c: float
    other_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """How it went, in shares of the tokens of the best constant load after it.

    Attributes:
        seconds: Until it was recovered.
        soon: Share two minutes after.
        course: From an hour before.
        soonest_s: When a law could have recovered that knew everything and let the die be no cooler
            than it may be; what it is given more at first, it has to shed, too.
        soonest: The share of that law two minutes after.
    """

    seconds: int
    soon: float
    course: Course
    soonest_s: int
    soonest: float


def recover(board: Board, capacity: Capacity, relief: Relief, after_s: int = _HOT_S) -> Recovery:
    """Run a governed board through it."""
    plant, governor = Plant(board, relief.from_c), Governed(capacity)
    plant.other_w = relief.other_w
    before = run(plant, governor, after_s)
    plant.room_c, plant.other_w = relief.to_c, 0.0
    after = run(
        plant, lambda readings, now, busy: governor(readings, after_s + now, busy), _WATCHED_S
    )
    best = tokens_per_s(board, best_constant(board, relief.to_c, capacity))
    shares = [rate / best for rate in after.rates]
    soonest = [rate / best for rate in _soonest(board, capacity, relief)]
    course = Course(
        before.tokens + after.tokens,
        before.throttled_s + after.throttled_s,
        max(before.peak_c, after.peak_c),
        before.settings + after.settings,
        before.die_c + after.die_c,
        before.rates + after.rates,
    )
    return Recovery(
        _recovered_s(shares), _at_two_minutes(shares), course,
        _recovered_s(soonest), _at_two_minutes(soonest),
    )  # fmt: skip


def _recovered_s(shares: Sequence[float]) -> int:
    """From when on every `_OVER_S` are good."""
    bad = [
        start
        for start in range(len(shares) - _OVER_S + 1)
        if sum(shares[start : start + _OVER_S]) < _SHARE * _OVER_S
    ]
    return bad[-1] + 1 if bad else 0


def _at_two_minutes(shares: Sequence[float]) -> float:
    half = _OVER_S // 2
    return sum(shares[TWO_MINUTES_S - half : TWO_MINUTES_S + half]) / (2 * half)


def _soonest(board: Board, capacity: Capacity, relief: Relief) -> list[float]:
    """Tokens a second of a law that keeps the die where it may just be, as well as can be."""
    limit_c = board.trip_c - JITTER_C
    volts = dict(board.clocks)
    ways = [
        (board.busy_w(active, threads, clock, volts[clock]),
         board.tokens_per_s(active, threads, 1.0, clock))
        for active in range(1, ANSWERS + 1)
        for threads in range(1, THREADS + 1)
        for clock in capacity.clocks
    ]  # fmt: skip
    most_w = board.busy_w(CAPACITY.max_active, CAPACITY.threads)
    sink_k_per_w, idle_w = board.sink_at(limit_c), board.idle_at(limit_c)
    held_w = (limit_c - relief.from_c) / (sink_k_per_w + board.die_k_per_w)
    sink_c = relief.from_c + min(held_w, idle_w + most_w) * sink_k_per_w
    rates = []
    for _second in range(_WATCHED_S):
        spent_w = min(most_w, (limit_c - sink_c) / board.die_k_per_w - idle_w)
        rates.append(max(min(1.0, spent_w / busy_w) * rate for busy_w, rate in ways))
        out_w = (sink_c - relief.to_c) / sink_k_per_w
        sink_c += (spent_w + idle_w - out_w) / board.sink_j_per_k
    return rates
