"""Which cores are worth computing on, by what the kernel says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.engine.corechoice import Core, CoreRule, choose

A53, A55, A57, A72, A73, DENVER = 0xD03, 0xD05, 0xD07, 0xD08, 0xD09, 0x003
GOLD, SILVER = 0x804, 0x805


def by_capacity(*groups: tuple[int, int]) -> list[Core]:
    """Groups of so many cores with such a capacity."""
    capacities = [capacity for count, capacity in groups for _ in range(count)]
    return [Core(number, capacity, 1_000_000) for number, capacity in enumerate(capacities)]


def unmeasured(*groups: tuple[int, int, int | None], implementer: int = 0x41) -> list[Core]:
    """Groups of so many cores of such a clock and part, to all of which the kernel gives 1024."""
    kinds = [(mhz, part) for count, mhz, part in groups for _ in range(count)]
    return [
        Core(number, 1024, mhz * 1000, None if part is None else (implementer, part))
        for number, (mhz, part) in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("groups", "chosen", "rule"),
    [
        # One core is never chosen for its own sake ...
        ([(3, 206), (4, 609), (1, 1024)], {3, 4, 5, 6, 7}, CoreRule.CAPACITY_MORE),
        ([(3, 538), (1, 1024)], {0, 1, 2, 3}, CoreRule.CAPACITY_MORE),
        # ... not even where others hardly add anything.
        ([(1, 1024), (1, 300)], {0, 1}, CoreRule.TOGETHER),
        ([(2, 300), (1, 1024)], {0, 1, 2}, CoreRule.TOGETHER),
        # Others join the fast ones for a third more, and no less.
        ([(6, 347), (2, 1024)], set(range(8)), CoreRule.CAPACITY_MORE),
        ([(6, 341), (2, 1024)], {6, 7}, CoreRule.CAPACITY),
        ([(6, 293), (2, 1024)], {6, 7}, CoreRule.CAPACITY),
        ([(2, 758), (2, 1024)], {0, 1, 2, 3}, CoreRule.CAPACITY_MORE),
        ([(6, 764), (6, 1024)], set(range(12)), CoreRule.CAPACITY_MORE),
        ([(6, 764), (12, 1024)], set(range(6, 18)), CoreRule.CAPACITY),
        # Three kinds, the two fast ones near each other.
        ([(4, 261), (3, 801), (1, 1024)], {4, 5, 6, 7}, CoreRule.CAPACITY),
        ([(2, 200), (5, 790), (1, 1024)], set(range(2, 8)), CoreRule.CAPACITY),
        ([(4, 160), (2, 498), (2, 1024)], {6, 7}, CoreRule.CAPACITY),
    ],
)
def test_even_shares_take_as_long_as_the_slowest(
    groups: list[tuple[int, int]], chosen: set[int], rule: CoreRule
) -> None:
    """So k cores do k times what the slowest of them does."""
    choice = choose(by_capacity(*groups))

    assert choice.cores == chosen
    assert choice.rule is rule


@pytest.mark.parametrize(
    ("cores", "chosen", "rule"),
    [
        # The clock tells.
        (unmeasured((4, 1300, None), (4, 1900, None)), {4, 5, 6, 7}, CoreRule.CLOCK),
        (unmeasured((4, 1200, None), (2, 1596, None)), {4, 5}, CoreRule.CLOCK),
        (unmeasured((2, 793, None), (1, 1001, None)), {0, 1, 2}, CoreRule.TOGETHER),
        (
            unmeasured((4, 1800, None), (2, 2200, None), (1, 2800, None)),
            {4, 5, 6},
            CoreRule.TOGETHER,
        ),
        # No clock does, but the design.
        (unmeasured((4, 0, A53), (4, 0, A73)), {4, 5, 6, 7}, CoreRule.DESIGN),
        (unmeasured((2, 2000, A53), (4, 1900, A73)), {2, 3, 4, 5}, CoreRule.DESIGN),
        (unmeasured((4, 0, A55), (1, 0, A73)), {0, 1, 2, 3, 4}, CoreRule.TOGETHER),
        (
            unmeasured((6, 1804, SILVER), (2, 2208, GOLD), implementer=0x51),
            {6, 7},
            CoreRule.DESIGN,
        ),
        # Little cores may have the higher clock.
        (unmeasured((4, 2000, A53), (4, 1600, A72)), {4, 5, 6, 7}, CoreRule.DESIGN),
        # The clocks of one design can be compared.
        (unmeasured((4, 1500, A53), (4, 1000, A53)), set(range(8)), CoreRule.CLOCK_MORE),
        (unmeasured((4, 1500, A53), (4, 800, A53)), {0, 1, 2, 3}, CoreRule.CLOCK),
        # Nothing tells.
        (unmeasured((4, 0, A57), (2, 0, DENVER)), set(range(6)), CoreRule.ALIKE),
        (unmeasured((4, 1800, A72)), {0, 1, 2, 3}, CoreRule.ALIKE),
        (unmeasured((4, 0, None)), {0, 1, 2, 3}, CoreRule.ALIKE),
    ],
)
def test_equal_capacities_tell_nothing(cores: list[Core], chosen: set[int], rule: CoreRule) -> None:
    """They are what the kernel says where the device tree is silent."""
    choice = choose(cores)

    assert choice.cores == chosen
    assert choice.rule is rule


def test_a_capacity_that_not_all_tell_is_none() -> None:
    """Nor are designs."""
    cores = [Core(0, 1024, 1_000_000, (0x41, A53)), Core(1, 0, 1_000_000), Core(2, 512, 1_000_000)]

    assert choose(cores).rule is CoreRule.ALIKE


def test_the_fastest_kind_is_known_among_all_that_compute() -> None:
    """Fewer threads are to have it."""
    choice = choose(by_capacity((6, 347), (2, 1024)))

    assert choice.fastest == {6, 7}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            Core,
            st.just(0),
            st.sampled_from([0, 206, 397, 609, 758, 1024]),
            st.sampled_from([0, 800_000, 1_300_000, 1_900_000]),
            st.sampled_from([None, (0x41, A53), (0x41, A73), (0x4E, DENVER)]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_on_a_board_that_nobody_has_listed(cores: list[Core]) -> None:
    """At least two compute, the fastest kind among them, and none that is faster is left out."""
    cores = [replace(core, number=number) for number, core in enumerate(cores)]
    choice = choose(cores)

    assert len(choice.cores) >= min(2, len(cores))
    assert choice.fastest
    assert choice.fastest <= choice.cores <= set(range(len(cores)))
    if choice.rule in (CoreRule.CAPACITY, CoreRule.CAPACITY_MORE):
        least = min(cores[number].capacity for number in choice.cores)
        left_out = [core.capacity for core in cores if core.number not in choice.cores]
        assert max(left_out, default=0) < least
