"""The first death costs nothing, a row of them less and less of the board's time."""

from __future__ import annotations

import pytest

from inglenook.engine.backoff import restart_delay_s, still_counting

NOW = 10_000.0


def deaths(*ages_s: float) -> list[float]:
    """Moments so long before now, oldest first."""
    return [NOW - age_s for age_s in ages_s]


@pytest.mark.parametrize(
    ("ages_s", "delay_s"),
    [
        ((0,), 0.2),  # phones are waiting
        ((10, 0), 0.4),
        ((20, 10, 0), 0.8),
        ((70, 60, 50, 40, 30, 20, 10, 0), 25.6),
        ((80, 70, 60, 50, 40, 30, 20, 10, 0), 30.0),  # never longer
        (tuple(range(100, -1, -1)), 30.0),
        ((301, 0), 0.2),  # long forgiven
        ((300, 0), 0.2),
        ((299, 0), 0.4),
        ((), 0.2),
    ],
)
def test_each_death_within_five_minutes_doubles_the_wait(
    ages_s: tuple[float, ...], delay_s: float
) -> None:
    """From 0.2 s to 30 s; older deaths do not count."""
    assert restart_delay_s(deaths(*ages_s), NOW) == pytest.approx(delay_s)


def test_an_engine_that_always_dies_at_once_is_started_about_twice_a_minute() -> None:
    """The list stays short, for deaths do not count for ever, and the wait stays at its longest."""
    now, died, delays_s = 0.0, list[float](), list[float]()
    while now < 3600:
        died = [*still_counting(died, now), now]
        delays_s.append(restart_delay_s(died, now))
        now += delays_s[-1]

    assert max(delays_s) == 30.0
    assert len(died) <= 20
    assert len(delays_s) <= 2 * 60 + 10


def test_only_deaths_that_matter_are_kept() -> None:
    """So that the list does not grow for the life of the daemon."""
    assert still_counting(deaths(500, 300, 299, 0), NOW) == deaths(299, 0)
