"""Memory: one rung up while it is short, one down when it has long been quiet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.memory.ladder import (
    Ladder,
    Pressure,
    Rung,
    eta_s,
    next_ladder,
    reserve_bytes,
)
from inglenook.governor.readings import MemoryReadings

MIB = 2**20
GIB = 2**30

#: 4 GiB, of which 205 MiB should stay free.
PLENTY = MemoryReadings(
    total_bytes=4 * GIB,
    available_bytes=2 * GIB,
    swap_total_bytes=GIB,
    swap_free_bytes=GIB,
    psi_some_avg10=0.0,
    psi_full_avg10=0.0,
    oom_kills=0,
)
SHORT = replace(PLENTY, available_bytes=180 * MIB)
SEVERE = replace(PLENTY, available_bytes=90 * MIB)


def after(ladder: Ladder, memory: MemoryReadings, seconds: int, start_s: float = 0.0) -> Ladder:
    """The same readings for so many seconds."""
    for second in range(seconds):
        ladder = next_ladder(ladder, memory, start_s + second)
    return ladder


@pytest.mark.parametrize(
    ("total_bytes", "limit_bytes", "reserve"),
    [
        (None, None, 128 * MIB),
        (GIB, None, 128 * MIB),
        (8 * GIB, None, 8 * GIB // 20),
        (8 * GIB, GIB, 128 * MIB),
        (8 * GIB, 16 * GIB, 8 * GIB // 20),
    ],
)
def test_the_reserve_is_a_twentieth_or_128_mib(
    total_bytes: int | None, limit_bytes: int | None, reserve: int
) -> None:
    """Of what there is, or of what the control group may have."""
    memory = MemoryReadings(total_bytes=total_bytes, limit_bytes=limit_bytes)

    assert reserve_bytes(memory) == reserve


@pytest.mark.parametrize(
    ("memory", "pressure"),
    [
        (PLENTY, Pressure.QUIET),
        (MemoryReadings(), Pressure.QUIET),
        (replace(PLENTY, available_bytes=250 * MIB), Pressure.FAIR),
        (replace(PLENTY, psi_some_avg10=7.0), Pressure.FAIR),
        (SHORT, Pressure.SHORT),
        (replace(PLENTY, psi_some_avg10=12.0), Pressure.SHORT),
        (replace(PLENTY, limit_bytes=2 * GIB, used_bytes=2 * GIB - 120 * MIB), Pressure.SHORT),
        (
            replace(PLENTY, available_bytes=300 * MIB, swap_free_bytes=GIB - 20 * MIB),
            Pressure.SHORT,
        ),
        (replace(PLENTY, swap_free_bytes=GIB - 20 * MIB), Pressure.QUIET),  # tidying up
        (SEVERE, Pressure.SEVERE),
        (replace(PLENTY, psi_full_avg10=6.0), Pressure.SEVERE),
        (replace(PLENTY, oom_kills=1), Pressure.SEVERE),
        (replace(PLENTY, limit_bytes=2 * GIB, used_bytes=3 * GIB), Pressure.SEVERE),
        # The kernel could drop the weights; nobody could answer then.
        (replace(PLENTY, weights_bytes=2 * GIB - 180 * MIB), Pressure.SHORT),
        (replace(PLENTY, weights_bytes=3 * GIB), Pressure.SEVERE),
    ],
)
def test_what_counts_as_short(memory: MemoryReadings, pressure: Pressure) -> None:
    """Little left, waiting for memory, swapping while little is left, kills."""
    ladder = next_ladder(next_ladder(Ladder(), PLENTY, 0.0), memory, 1.0)

    assert ladder.pressure is pressure
    assert ladder.rung == (Rung.NO_NEW if pressure >= Pressure.SHORT else Rung.OPEN)


def test_old_kills_are_no_news() -> None:
    """Only one that happens now counts."""
    assert after(Ladder(), replace(PLENTY, oom_kills=3), 10).pressure is Pressure.QUIET


def test_it_climbs_one_rung_at_a_time_while_it_is_short() -> None:
    """Twelve seconds each, to see what the last one brought; never as far as unloading."""
    rungs = [after(Ladder(), SHORT, seconds).rung for seconds in (1, 12, 13, 25, 37, 49, 600)]

    assert rungs == [
        Rung.NO_NEW,
        Rung.NO_NEW,
        Rung.HALF_CACHE,
        Rung.NO_CACHE,
        Rung.HALF_ACTIVE,
        Rung.ONE_ACTIVE,
        Rung.ONE_ACTIVE,
    ]


def test_it_climbs_faster_and_to_the_top_when_it_is_severe() -> None:
    """Four seconds each: the kernel does not wait either."""
    assert after(Ladder(), SEVERE, 20).rung is Rung.ONE_ACTIVE
    assert after(Ladder(), SEVERE, 21).rung is Rung.UNLOADED
    assert after(Ladder(), SEVERE, 600).rung is Rung.UNLOADED


def test_each_rung_down_has_to_be_quiet_for_half_a_minute() -> None:
    """Nothing is given back on a single good reading."""
    ladder = after(Ladder(), SHORT, 13)

    assert after(ladder, PLENTY, 30, 13).rung is Rung.HALF_CACHE
    assert after(ladder, PLENTY, 31, 13).rung is Rung.NO_NEW
    assert after(ladder, PLENTY, 61, 13).rung is Rung.OPEN
    assert after(ladder, PLENTY, 600, 13).rung is Rung.OPEN


def test_a_model_stays_unloaded_for_two_minutes() -> None:
    """Loading it anew costs more than waiting."""
    ladder = after(Ladder(), SEVERE, 21)

    assert eta_s(ladder, 21) == 120.0
    assert after(ladder, PLENTY, 120, 21).rung is Rung.UNLOADED
    assert after(ladder, PLENTY, 121, 21).rung is Rung.ONE_ACTIVE


def test_neither_short_nor_quiet_stays_where_it_is() -> None:
    """Between the two there is no reason to move."""
    ladder = after(Ladder(), SHORT, 13)
    fair = replace(PLENTY, available_bytes=250 * MIB)

    assert after(ladder, fair, 600, 13).rung is Rung.HALF_CACHE


def test_memory_that_comes_and_goes_does_not_flap() -> None:
    """Ten seconds good, ten seconds bad, for an hour: up and never down."""
    ladder, rungs = Ladder(), []
    for turn in range(180):
        ladder = after(ladder, SHORT, 10, 20 * turn)
        ladder = after(ladder, PLENTY, 10, 20 * turn + 10)
        rungs.append(ladder.rung)

    assert rungs == sorted(rungs)
