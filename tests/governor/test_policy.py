"""One decision out of heat, memory and power."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.readings import FirmwareFlags, MemoryReadings, Readings, Zone

MIB = 2**20
CAPACITY = Capacity(max_active=8, threads=4, step_budget_s=0.2, ram_cache_bytes=512 * MIB)
GOOD_MEMORY = MemoryReadings(total_bytes=4096 * MIB, available_bytes=2048 * MIB)
COOL = Readings(zones=(Zone("cpu-thermal", 45.0, 80.0, 110.0),), memory=GOOD_MEMORY)


def hot(temp_c: float, **others: object) -> Readings:
    return replace(COOL, zones=(Zone("cpu-thermal", temp_c, 80.0, 110.0),), **others)  # type: ignore[arg-type]


def short(available_bytes: int) -> Readings:
    return replace(COOL, memory=replace(GOOD_MEMORY, available_bytes=available_bytes))


def after(
    readings: Readings,
    seconds: int,
    state: PolicyState | None = None,
    start_s: float = 0.0,
    capacity: Capacity = CAPACITY,
) -> tuple[PolicyState, Decision]:
    """The decision after so many seconds of the same."""
    state, decision = decide(state or PolicyState(), readings, capacity, start_s, busy=True)
    for second in range(1, seconds):
        state, decision = decide(state, readings, capacity, start_s + second, busy=True)
    return state, decision


def warmed_up(capacity: Capacity) -> tuple[PolicyState, Decision]:
    """Slowly from cool to 1 °C below the limit."""
    state, decision = after(COOL, 60, capacity=capacity)
    for minute, temp_c in enumerate((70.0, 74.0, 77.0, 78.5, 79.0), start=1):
        state, decision = after(hot(temp_c), 60, state, 60.0 * minute, capacity)
    return state, decision


def test_a_cool_box_with_memory_does_all_it_can() -> None:
    """Nothing is limited, and that is what it says."""
    _, decision = after(COOL, 60)

    assert decision == Decision(
        level=Level.COOL,
        reason=LimitReason.NONE,
        max_active=8,
        threads=4,
        clock=1.0,
        duty=1.0,
        step_budget_s=0.2,
        ram_cache_bytes=512 * MIB,
        admit=True,
        unload=False,
        eta_s=None,
        sentence="45 °C, 35 °C below where the board slows itself down",
    )


def test_heat_takes_a_thread_then_time_and_no_answers() -> None:
    """Fewer answers would hardly cool it; steps get shorter as the pauses get longer."""
    _, decision = warmed_up(CAPACITY)

    assert decision.reason is LimitReason.THERMAL
    assert (decision.max_active, decision.threads, decision.admit) == (8, 3, True)
    assert 0.0 < decision.duty < 0.8
    assert decision.step_budget_s == pytest.approx(max(0.05, 0.2 * decision.duty))


def test_heat_lowers_the_clock_first_where_that_is_possible() -> None:
    """All threads stay: a slow clock needs less voltage, a missing thread does not."""
    _, decision = warmed_up(replace(CAPACITY, clocks=(1.0, 0.75, 0.5)))

    assert decision.threads == 4
    assert decision.clock in (0.75, 0.5)
    assert decision.duty > 0.4
    assert decision.max_active == 8


def test_the_limit_itself_halves_the_answers_and_they_come_back_one_by_one() -> None:
    """Once a time it becomes critical, then one every 20 s."""
    state, decision = after(hot(80.5), 60, after(COOL, 60)[0], 60)
    assert (decision.level, decision.max_active) == (Level.CRITICAL, 4)

    back: list[tuple[int, int]] = []
    for second in range(200):
        state, decision = decide(state, hot(60.0), CAPACITY, 120.0 + second, busy=True)
        if not back or back[-1][1] != decision.max_active:
            back.append((second, decision.max_active))
    assert [active for _, active in back] == [4, 5, 6, 7, 8]
    assert [later - earlier for (earlier, _), (later, _) in pairwise(back[1:])] == [20, 20, 20]


def test_the_last_answer_is_never_taken() -> None:
    """However often it becomes critical."""
    state, decision = after(COOL, 1)
    for turn in range(10):
        state, _ = after(hot(80.5), 5, state, 30.0 * turn)
        state, decision = after(hot(78.0), 25, state, 30.0 * turn + 5)

    assert decision.max_active == 1
    assert decision.duty > 0


def test_a_box_about_to_be_switched_off_pauses() -> None:
    """Nothing is computed and nothing new is taken; nothing that runs is ended."""
    _, decision = after(hot(106.0), 5)

    assert (decision.duty, decision.admit, decision.unload) == (0.0, False, False)
    assert decision.max_active >= 1


@pytest.mark.parametrize(
    ("seconds", "active", "cache_bytes", "unload"),
    [
        (1, 8, 512 * MIB, False),
        (5, 8, 256 * MIB, False),
        (9, 8, 0, False),
        (13, 4, 0, False),
        (17, 1, 0, False),
        (21, 1, 0, True),
    ],
)
def test_memory_is_given_back_in_order(
    seconds: int, active: int, cache_bytes: int, unload: bool
) -> None:
    """Half of the cache, all of it, half of the answers, all but one, the model."""
    _, decision = after(short(64 * MIB), seconds)

    assert decision.reason is LimitReason.MEMORY
    assert not decision.admit
    assert (decision.max_active, decision.ram_cache_bytes) == (active, cache_bytes)
    assert decision.unload == unload
    assert decision.eta_s in (30.0, 120.0)


def test_a_weak_supply_leaves_one_answer_and_is_named() -> None:
    """Until it has been good for a minute; heat has no part in it."""
    weak = replace(COOL, firmware=FirmwareFlags(undervoltage=True, freq_capped=True))
    state, decision = after(weak, 3)
    assert (decision.reason, decision.max_active, decision.level) == (
        LimitReason.POWER,
        1,
        Level.COOL,
    )
    assert "power supply" in decision.sentence

    assert after(COOL, 59, state, 3.0)[1].max_active == 1
    assert after(COOL, 61, state, 3.0)[1].max_active == 8


@pytest.mark.parametrize(
    ("on_battery", "percents", "active"),
    [
        (True, (80.0,), 8),
        (True, (19.0,), 4),
        (True, (19.0, 22.0), 4),
        (True, (19.0, 26.0), 8),
        (False, (10.0,), 8),
        (None, (10.0,), 8),
    ],
)
def test_a_battery_that_runs_low_halves_the_answers(
    on_battery: bool | None, percents: tuple[float, ...], active: int
) -> None:
    """Below a fifth, until it is at a quarter or charging."""
    state, decision = after(COOL, 1)
    for percent in percents:
        readings = replace(COOL, on_battery=on_battery, battery_percent=percent)
        state, decision = after(readings, 2, state)

    assert decision.max_active == active
    assert decision.reason is (LimitReason.POWER if active < 8 else LimitReason.NONE)


def test_one_answer_at_once_is_enough_to_limit() -> None:
    """A box with a single place keeps it through everything but an unload."""
    single = replace(CAPACITY, max_active=1, threads=1)
    for readings in (hot(80.5), short(64 * MIB), replace(COOL, faulty=("cpu",))):
        decision = after(readings, 15, capacity=single)[1]
        assert (decision.max_active, decision.threads) == (1, 1)


def test_decisions_depend_on_nothing_but_their_arguments() -> None:
    """The same course of readings gives the same course of decisions."""
    assert after(hot(79.5), 200) == after(hot(79.5), 200)
