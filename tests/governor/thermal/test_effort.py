"""The power that may be spent follows the headroom: down at once, up with care."""

from __future__ import annotations

import pytest

from inglenook.governor.thermal.effort import (
    LEAST,
    UP_AFTER_DOWN_S,
    Effort,
    capped,
    cut,
    next_effort,
)
from inglenook.governor.thermal.forecast import Forecast

NOW = 1000.0


def ahead(headroom_c: float, slope_c_per_s: float = 0.0) -> Forecast:
    return Forecast(headroom_c, slope_c_per_s, 0.5, headroom_c, NOW, ((NOW, headroom_c),))


def after(effort: Effort, forecast: Forecast, seconds: int, *, busy: bool = True) -> Effort:
    """The same forecast for so many seconds more."""
    start_s = NOW if effort.at_s is None else effort.at_s
    for second in range(1, seconds + 1):
        effort = next_effort(effort, forecast, start_s + second, busy=busy)
    return effort


@pytest.mark.parametrize(
    ("headroom_c", "effort"), [(60.0, 1.0), (27.0, 1.0), (13.5, 0.5), (1.0, LEAST), (-20.0, LEAST)]
)
def test_the_first_effort_leaves_room_for_the_jump_of_the_die(
    headroom_c: float, effort: float
) -> None:
    """25 °C of headroom are enough for everything, half of that for half."""
    first = next_effort(Effort(), ahead(headroom_c), NOW, busy=True)

    assert first.spent == pytest.approx(effort, abs=0.05)


def test_far_from_the_limit_nothing_is_taken_away() -> None:
    """However steep the rise."""
    assert after(Effort(at_s=NOW), ahead(20.0, -2.0), 30).spent == 1.0


def test_near_the_limit_a_rise_lowers_it() -> None:
    """And more so the steeper it is."""
    slow = after(Effort(at_s=NOW), ahead(5.0, -0.2), 10).spent
    steep = after(Effort(at_s=NOW), ahead(5.0, -0.4), 10).spent

    assert steep < slow < 1.0


def test_above_the_target_it_falls_until_the_least() -> None:
    """A board that gets no cooler gets no more work."""
    assert after(Effort(at_s=NOW), ahead(-1.0), 600).spent == pytest.approx(LEAST, rel=0.1)


def test_it_rises_again_only_a_minute_after_it_fell() -> None:
    """So that nothing swings faster than that."""
    low = capped(Effort(at_s=NOW), 0.3, NOW)

    assert after(low, ahead(6.0), int(UP_AFTER_DOWN_S) - 1).spent == 0.3
    assert after(low, ahead(6.0), int(UP_AFTER_DOWN_S) + 1).spent > 0.3


def test_what_waits_to_rise_does_not_pile_up() -> None:
    """What is small is not added up while it may not be used."""
    low = capped(Effort(at_s=NOW), 0.3, NOW)

    assert after(low, ahead(1.4), int(UP_AFTER_DOWN_S) - 1).wanted == 0.3


def seconds_of_more(headroom_c: float, slope_c_per_s: float) -> list[int]:
    """After how many seconds more is added, of a minute."""
    effort, added = Effort(0.3, 0.3, at_s=NOW), []
    for second in range(1, 61):
        now = NOW + second
        effort = next_effort(effort, ahead(headroom_c, slope_c_per_s), now, busy=True)
        if effort.added_s == now:
            added.append(second)
    return added


@pytest.mark.parametrize(
    ("headroom_c", "slope_c_per_s", "seconds"),
    [
        (1.2, 0.0, []),  # what is held, within the noise
        (2.5, 0.0, [31, 41, 51]),  # the room has become cooler
        (6.0, 0.2, [11, 21]),  # somebody else's work has ended
        (6.0, 0.0, [31, 41]),
        (6.0, -0.1, []),  # the board still warms up
    ],
)
def test_headroom_to_spare_is_used_up_in_steps_that_show(
    headroom_c: float, slope_c_per_s: float, seconds: list[int]
) -> None:
    """At once if it came suddenly, after half a minute if not; each step waits to be seen."""
    assert seconds_of_more(headroom_c, slope_c_per_s)[: len(seconds) or 1] == seconds


def test_a_rise_of_its_own_making_takes_nothing_away() -> None:
    """For as long as the slope remembers what was added; then it counts."""
    added = Effort(0.5, 0.5, at_s=NOW, added_s=NOW)

    assert after(added, ahead(2.0, -0.4), 20).spent == 0.5
    assert after(added, ahead(2.0, -0.4), 40).spent < 0.5


def test_cooling_of_its_own_making_earns_nothing() -> None:
    """A cut makes the die cooler at once; the board may still be warming up."""
    lowered = Effort(0.5, 0.5, lowered_s=NOW - 50, at_s=NOW)
    just_lowered = Effort(0.5, 0.5, lowered_s=NOW, at_s=NOW)

    assert after(lowered, ahead(0.9, 0.3), 12).wanted > 0.5
    assert after(just_lowered, ahead(0.9, 0.3), 12).wanted < 0.5


def test_a_box_at_rest_earns_no_effort_by_resting() -> None:
    """It cools down whatever it is allowed; only what the jump of the die allows comes back."""
    low = capped(Effort(at_s=NOW), 0.1, NOW)

    assert after(low, ahead(6.0), 300, busy=False).spent == pytest.approx(0.2, abs=0.02)
    assert after(low, ahead(6.0), 300, busy=True).spent == 1.0


def test_small_changes_are_not_spent() -> None:
    """Threads and pauses do not follow every tremor."""
    assert after(Effort(0.99, 1.0, at_s=NOW), ahead(1.2), 1).spent == 1.0


def test_a_cut_takes_a_quarter_and_waits_to_be_felt() -> None:
    """Again only after 15 seconds."""
    once = cut(Effort(at_s=NOW), NOW)

    assert once.spent == 0.75
    assert cut(once, NOW + 14) == once
    assert cut(once, NOW + 15).spent == pytest.approx(0.75**2)


def test_a_cap_lowers_and_never_raises() -> None:
    """What is below it already stays, and may not climb above it."""
    assert capped(Effort(at_s=NOW), 0.5, NOW).spent == 0.5
    assert capped(Effort(0.9, 0.2, at_s=NOW), 0.5, NOW) == Effort(0.5, 0.2, at_s=NOW)
