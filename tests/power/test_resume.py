"""Each wake-up is told once, by the clocks or by logind, whichever comes first."""

from __future__ import annotations

from inglenook.power.resume import ClockPair, ResumeWatch


def awake(now: float, slept_s: float = 0.0) -> ClockPair:
    """The clocks of a board that has been awake for ``now`` and asleep for ``slept_s``."""
    return ClockPair(boottime_s=now + slept_s, monotonic_s=now)


def test_the_clocks_tell_how_long_it_slept() -> None:
    """Once; and time spent awake, before or after, is none of it."""
    watch = ResumeWatch(awake(100, slept_s=7200))

    assert watch.check(awake(5000, slept_s=7200)) is None
    assert watch.check(awake(5001, slept_s=10800)) == 3600
    assert watch.check(awake(9000, slept_s=10800)) is None


def test_less_than_a_second_is_no_sleep() -> None:
    """Nor are many such jumps forgotten: they add up."""
    watch = ResumeWatch(awake(100))

    assert watch.check(awake(101, slept_s=0.5)) is None
    assert watch.check(awake(102, slept_s=1.25)) == 1.25


def test_logind_says_it_again_after_the_clocks() -> None:
    """That is no second wake-up."""
    watch = ResumeWatch(awake(100))
    watch.on_suspend(awake(100))

    assert watch.check(awake(101, slept_s=60)) == 60
    assert watch.on_resume(awake(102, slept_s=60)) is None


def test_logind_says_it_before_the_clocks_are_looked_at() -> None:
    """That is all they would say."""
    watch = ResumeWatch(awake(100))
    watch.on_suspend(awake(100))

    assert watch.on_resume(awake(101, slept_s=60)) == 60
    assert watch.check(awake(105, slept_s=60)) is None


def test_a_sleep_that_failed_is_over_too() -> None:
    """The board was never away, but what was done for the sleep must be undone; once."""
    watch = ResumeWatch(awake(100))
    watch.on_suspend(awake(100))

    assert watch.on_resume(awake(101)) == 0
    assert watch.on_resume(awake(102)) is None


def test_a_sleep_that_never_comes_is_given_up() -> None:
    """Logind hangs, or has died: nothing may wait for its word for ever."""
    watch = ResumeWatch(awake(100))
    watch.on_suspend(awake(100))

    assert watch.check(awake(279)) is None
    assert watch.check(awake(281)) == 0
    assert watch.check(awake(500)) is None
    assert watch.on_resume(awake(501)) is None


def test_a_wake_up_nobody_was_told_to_prepare_for() -> None:
    """A daemon that was started meanwhile has nothing to undo, unless it did sleep."""
    assert ResumeWatch(awake(100)).on_resume(awake(101)) is None
    assert ResumeWatch(awake(100)).on_resume(awake(101, slept_s=60)) == 60
