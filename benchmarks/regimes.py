"""Ways to run a box that is asked for more than it can do, on simulated boards. Kind: rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from benchmarks.plant import JITTER_C, STEP_S, THREADS, Board, Plant
from inglenook.governor.limits import Capacity, Decision
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.readings import Readings, Zone

ANSWERS = 8
CAPACITY = Capacity(max_active=ANSWERS, threads=THREADS)

#: No lower than `governor.clocks` would cap it.
_CLOCK_LEAST = 0.5

#: What is asked of the box at a moment: how many answers.
Demand = Callable[[float], int]


def clocked(board: Board) -> Capacity:
    """The same box where the governor may cap the clock."""
    shares = tuple(clock for clock, _volts in board.clocks if clock >= _CLOCK_LEAST)
    return replace(CAPACITY, clocks=shares)


@dataclass(frozen=True, slots=True)
class Setting:
    """How the box is run: answers at once, threads, share of time, cap of the clock."""

    active: int
    threads: int = THREADS
    duty: float = 1.0
    clock: float = 1.0


#: Something that is told the board's readings each second, and sets how it is run.
Regime = Callable[[Readings, float, bool], Setting]


@dataclass
class Course:
    """What became of a board.

    Attributes:
        tokens: Written in all.
        throttled_s: How long the board was slowing itself down.
        peak_c: Hottest the die was.
        settings: In force, each second.
        die_c: Temperature, each second.
        rates: Tokens, each second.
    """

    tokens: float = 0.0
    throttled_s: float = 0.0
    peak_c: float = 0.0
    settings: list[Setting] = field(default_factory=list)
    die_c: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def reversals_s(self) -> list[float]:
        """Moments at which the work allowed began to fall after it had risen."""
        turns, rising, before = [], False, None
        for second, setting in enumerate(self.settings):
            work = setting.active * setting.threads * setting.duty * setting.clock**2
            if before is not None and work != before:
                if rising and work < before:
                    turns.append(float(second))
                rising = work > before
            before = work
        return turns

    @property
    def fastest_s(self) -> float:
        """Shortest time from one such moment to the next; infinite without two."""
        pairs = pairwise(self.reversals_s())
        return min((later - earlier for earlier, later in pairs), default=math.inf)


def run(plant: Plant, regime: Regime, seconds: int, demand: Demand = lambda _s: ANSWERS) -> Course:
    """Run a plant under a regime."""
    course = Course()
    shares = [clock for clock, _volts in plant.board.clocks]
    for second in range(seconds):
        asked = demand(float(second))
        setting = regime(readings_of(plant), float(second), asked > 0)
        active, cap = min(setting.active, asked), shares.index(setting.clock)
        before = course.tokens
        for _ in range(round(1 / STEP_S)):
            course.tokens += plant.run(active, setting.threads, setting.duty, cap)
            course.throttled_s += STEP_S * (plant.slowed > 0)
            course.peak_c = max(course.peak_c, plant.die_c)
        course.settings.append(setting)
        course.die_c.append(plant.die_c)
        course.rates.append(course.tokens - before)
    return course


def readings_of(plant: Plant) -> Readings:
    """What the probes would read."""
    zone = Zone("cpu-thermal", plant.reading_c, plant.board.trip_c)
    return Readings(zones=(zone,), throttled_by_kernel=plant.slowed > 0)


class Governed:
    """The governor's law."""

    def __init__(self, capacity: Capacity = CAPACITY) -> None:
        self.capacity = capacity
        self._state = PolicyState()
        self.decisions: list[Decision] = []

    def __call__(self, readings: Readings, now: float, busy: bool) -> Setting:  # noqa: FBT001
        self._state, decision = decide(self._state, readings, self.capacity, now, busy=busy)
        self.decisions.append(decision)
        return Setting(decision.max_active, decision.threads, decision.duty, decision.clock)


class FixedThresholds:
    """What is usual: fewer answers at once above 65, 80 and 95 °C, by the reading as it is."""

    def __call__(self, readings: Readings, now: float, busy: bool) -> Setting:  # noqa: FBT001
        temp_c = readings.zones[0].temp_c
        for above_c, active in ((95.0, 0), (80.0, 1), (65.0, ANSWERS // 2)):
            if temp_c >= above_c:
                return Setting(active)
        return Setting(ANSWERS)


def constant(setting: Setting) -> Regime:
    """Always the same."""
    return lambda _readings, _now, _busy: setting


def best_constant(board: Board, room_c: float, capacity: Capacity = CAPACITY) -> Setting:
    """Find the setting with most tokens of those that never reach the trip point.

    Every number of answers and threads and every clock, and for each the longest duty, to 0.1 %.
    """
    settings = (
        _longest(board, room_c, Setting(active, threads, 1.0, clock))
        for active in range(1, ANSWERS + 1)
        for threads in range(1, THREADS + 1)
        for clock in capacity.clocks
    )
    return max(settings, key=lambda setting: tokens_per_s(board, setting))


def tokens_per_s(board: Board, setting: Setting) -> float:
    """What a setting writes while the board does not slow itself down."""
    return board.tokens_per_s(setting.active, setting.threads, setting.duty, setting.clock)


def _longest(board: Board, room_c: float, setting: Setting) -> Setting:
    """The longest duty with which the steady state stays below the trip point and its jitter."""
    trip_c = board.trip_c - JITTER_C
    volts = dict(board.clocks)[setting.clock]
    busy_w = board.busy_w(setting.active, setting.threads, setting.clock, volts)
    most_w = (trip_c - room_c) / (board.sink_at(trip_c) + board.die_k_per_w) - board.idle_at(trip_c)
    return replace(setting, duty=max(0.0, min(1.0, most_w / busy_w)))
