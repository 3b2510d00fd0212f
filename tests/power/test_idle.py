"""When the box may sleep, and how deep, told without a clock."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.power.idle import (
    KEEP_AWAKE_S,
    Abilities,
    Activity,
    SleepLevel,
    Use,
    level,
    next_look_s,
    refused,
    seen,
    used,
    within,
    woken,
)
from inglenook.power.settings import AwakeHours, PowerSettings

SETTINGS = PowerSettings(unload_after_s=100, stop_after_s=200, suspend_after_s=300)
ALL = Abilities(stop=True, suspend=True)
QUIET = Activity()
USE = Use(used_at=0.0, held_at=0.0)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, SleepLevel.IDLE),
        (99.9, SleepLevel.IDLE),
        (100, SleepLevel.UNLOADED),
        (200, SleepLevel.STOPPED),
        (300, SleepLevel.SUSPENDED),
        (1e6, SleepLevel.SUSPENDED),
    ],
)
def test_a_box_nobody_uses_sleeps_deeper_and_deeper(now: float, expected: SleepLevel) -> None:
    """Each level after its own time, counted from the last use."""
    assert level(USE, QUIET, ALL, SETTINGS, now) is expected


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        (Abilities(), SleepLevel.UNLOADED),
        (Abilities(stop=True), SleepLevel.STOPPED),
        (Abilities(suspend=True), SleepLevel.SUSPENDED),
    ],
)
def test_a_box_goes_no_deeper_than_it_can_come_back_from(
    abilities: Abilities, expected: SleepLevel
) -> None:
    """Without systemd's sockets it does not stop, without a test it is not suspended."""
    assert level(USE, QUIET, abilities, SETTINGS, 1e6) is expected


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        (Activity(answers=1), SleepLevel.BUSY),
        (Activity(preparations=1), SleepLevel.BUSY),
        (Activity(loading=True), SleepLevel.IDLE),
        (Activity(sockets=1), SleepLevel.UNLOADED),
        (Activity(others=True), SleepLevel.UNLOADED),
        (Activity(inhibited=True), SleepLevel.STOPPED),
    ],
)
def test_what_goes_on_holds_the_box_up(activity: Activity, expected: SleepLevel) -> None:
    """A connected phone keeps the process, but not the model; an inhibitor only the board."""
    now = 1e6

    assert level(seen(USE, activity, now), activity, ALL, SETTINGS, now) is expected


@pytest.mark.parametrize(
    ("activity", "unloaded_s", "stopped_s"),
    [
        (Activity(answers=1), 100, 200),
        (Activity(preparations=1), 100, 200),
        (Activity(loading=True), 100, 200),
        (Activity(sockets=1), 0, 200),
        (Activity(others=True), 0, 200),
    ],
)
def test_idleness_begins_when_what_went_on_has_ended(
    activity: Activity, unloaded_s: float, stopped_s: float
) -> None:
    """An answer counts as use to its end; a connection counts for the process alone."""
    use = seen(USE, activity, 1000)

    assert level(use, QUIET, ALL, SETTINGS, 1000 + unloaded_s) is SleepLevel.UNLOADED
    assert level(use, QUIET, ALL, SETTINGS, 1000 + unloaded_s - 0.1) is (
        SleepLevel.IDLE if unloaded_s else SleepLevel.UNLOADED
    )
    assert level(use, QUIET, ALL, SETTINGS, 1000 + stopped_s) is SleepLevel.STOPPED
    assert level(use, QUIET, ALL, SETTINGS, 1000 + stopped_s - 0.1) < SleepLevel.STOPPED


def test_who_is_called_stays_awake_for_a_while() -> None:
    """Nobody has come yet, but somebody is about to; afterwards it may sleep as before."""
    use = woken(USE, 1e6)

    assert level(use, QUIET, ALL, SETTINGS, 1e6 + KEEP_AWAKE_S - 0.1) is SleepLevel.IDLE
    assert level(use, QUIET, ALL, SETTINGS, 1e6 + KEEP_AWAKE_S) is SleepLevel.SUSPENDED


def test_what_is_refused_is_tried_again_after_as_long_a_rest() -> None:
    """And stands in nobody's way: a board that cannot be suspended may still end the process."""
    use = refused(USE, SleepLevel.SUSPENDED, 1e6)
    awake = Abilities(suspend=True)

    assert level(use, QUIET, awake, SETTINGS, 1e6) is SleepLevel.UNLOADED
    assert level(use, QUIET, awake, SETTINGS, 1e6 + 299.9) is SleepLevel.UNLOADED
    assert level(use, QUIET, awake, SETTINGS, 1e6 + 300) is SleepLevel.SUSPENDED
    assert level(use, QUIET, ALL, SETTINGS, 1e6) is SleepLevel.STOPPED
    use = refused(USE, SleepLevel.STOPPED, 1e6)
    assert level(use, QUIET, Abilities(stop=True), SETTINGS, 1e6 + 199.9) is SleepLevel.UNLOADED
    assert level(use, QUIET, Abilities(stop=True), SETTINGS, 1e6 + 200) is SleepLevel.STOPPED
    assert level(use, QUIET, ALL, SETTINGS, 1e6) is SleepLevel.SUSPENDED


def test_use_wakes_at_once() -> None:
    """From the deepest level that still hears it."""
    assert level(used(USE, 1e6), QUIET, ALL, SETTINGS, 1e6) is SleepLevel.IDLE


@pytest.mark.parametrize(
    ("settings", "never"),
    [
        (replace(SETTINGS, unload_after_s=0.0), SleepLevel.UNLOADED),
        (replace(SETTINGS, stop_after_s=0.0), SleepLevel.STOPPED),
        (replace(SETTINGS, suspend_after_s=0.0), SleepLevel.SUSPENDED),
    ],
)
def test_zero_is_never(settings: PowerSettings, never: SleepLevel) -> None:
    """For every level by itself; the others come as they would."""
    reached = {level(USE, QUIET, ALL, settings, now) for now in range(0, 1000, 50)}

    assert set(SleepLevel) - reached == {never, SleepLevel.BUSY}


def test_in_the_hours_it_shall_be_awake_it_is() -> None:
    """And after them it sleeps by what it has been idle."""
    settings = replace(SETTINGS, awake_hours=AwakeHours(7 * 60, 22 * 60))

    assert level(USE, Activity(minute=12 * 60), ALL, settings, 1e6) is SleepLevel.IDLE
    assert level(USE, Activity(minute=22 * 60), ALL, settings, 1e6) is SleepLevel.SUSPENDED


@pytest.mark.parametrize(
    ("hours", "minute", "expected"),
    [
        (None, 0, False),
        (AwakeHours(420, 1320), 419, False),
        (AwakeHours(420, 1320), 420, True),
        (AwakeHours(420, 1320), 1319, True),
        (AwakeHours(420, 1320), 1320, False),
        (AwakeHours(1320, 360), 1439, True),
        (AwakeHours(1320, 360), 0, True),
        (AwakeHours(1320, 360), 359, True),
        (AwakeHours(1320, 360), 360, False),
    ],
)
def test_hours_may_go_past_midnight(hours: AwakeHours | None, minute: int, expected: bool) -> None:
    """The first minute is in them, the last is not."""
    assert within(hours, minute) is expected


TIMES = st.floats(0, 1e4)
AFTER = st.sampled_from([0.0, 10.0, 100.0, 1000.0])


@given(TIMES, TIMES, TIMES, st.builds(PowerSettings, AFTER, AFTER, AFTER))
def test_between_two_looks_nothing_changes(
    used_at: float, held_at: float, now: float, settings: PowerSettings
) -> None:
    """Whoever waits for the next look misses no change of level."""
    use = Use(used_at, max(used_at, held_at), awake_until=used_at + 5)
    wait_s = next_look_s(use, settings, now)
    just_before = now + min(wait_s, 1e6) * 0.999

    assert wait_s > 0
    assert level(use, QUIET, ALL, settings, now) is level(use, QUIET, ALL, settings, just_before)
    if wait_s == math.inf:
        assert level(use, QUIET, ALL, settings, 1e9) is level(use, QUIET, ALL, settings, now)
