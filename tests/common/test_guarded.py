"""An exception nobody foresaw stays where it was raised, and is told: at first, and then seldom."""

from __future__ import annotations

import asyncio
import logging

import pytest

from inglenook.common.guarded import Guard, counts, failed_in


def fail(kind: type[Exception] = ValueError) -> None:
    raise kind("what nobody foresaw")


def told(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records]


def test_what_is_raised_does_not_leave_the_block(caplog: pytest.LogCaptureFixture) -> None:
    """It is an error in the log, with its trace and the name of the place; and it is counted."""
    guard = Guard("a test's place")
    before = counts()["a test's place"]
    with guard:
        fail()

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("a test's place: an unexpected error (ValueError")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert counts()["a test's place"] == before + 1


def test_a_guard_is_counted_from_the_start() -> None:
    """A series that appears with the first failure would hide it from who watches for a rise."""
    Guard("never failed")

    assert counts()["never failed"] == 0


def test_the_same_again_is_told_ever_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """The first, the 10th, the 100th time; another kind, or another place, is told at once."""
    caplog.set_level(logging.DEBUG)
    guard = Guard("again and again")
    for _ in range(100):
        with guard:
            fail()
    levels = told(caplog)
    caplog.clear()
    with guard:
        fail(KeyError)
    with guard:
        raise ValueError

    assert [n for n, level in enumerate(levels, 1) if level == logging.ERROR] == [1, 10, 100]
    assert set(levels) == {logging.ERROR, logging.DEBUG}
    assert told(caplog) == [logging.ERROR, logging.ERROR]


def test_that_it_is_well_again_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """And only if that it was not has been said."""
    caplog.set_level(logging.INFO)
    guard = Guard("the sensors", again="the sensors can be read again")
    with guard:
        pass
    with guard:
        fail()
    for _ in range(3):
        with guard:
            pass
    with guard:
        fail()
    with guard:
        pass

    texts = [record.getMessage() for record in caplog.records]
    assert texts[1:] == ["the sensors can be read again"]


def test_what_was_foreseen_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    """The caller knows what to do about it."""
    with pytest.raises(OSError, match="nobody"), Guard("the disk", foreseen=(OSError,)):
        fail(OSError)

    assert told(caplog) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_the_end_of_a_task_or_of_the_program_is_no_failure(kind: type[BaseException]) -> None:
    """Whoever asked for it gets it."""
    with pytest.raises(kind), Guard("anything"):
        raise kind


def test_many_kinds_of_failure_cost_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a stranger manages to provoke."""
    guard = Guard("many kinds")
    for number in range(500):
        with guard:
            raise type(f"Kind{number}", (Exception,), {})

    assert len(guard._times) <= 64
    assert len(caplog.records) == 500


def test_a_group_is_known_by_what_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    """A task group's exception is raised at one place, whatever it was."""
    guard = Guard("a task group")
    for kind in (ValueError, KeyError, ValueError):
        with guard:
            try:
                fail(kind)
            except (ValueError, KeyError) as exc:
                raise ExceptionGroup("tasks", [exc]) from None

    assert told(caplog) == [logging.ERROR, logging.ERROR]


def test_what_failed_is_said_in_a_sentence() -> None:
    """And nothing if nothing did."""
    assert failed_in({"mdns": 0}) == ""
    assert failed_in({"news": 2, "mdns": 1, "rest": 0}) == (
        "Unexpected errors: mdns (1), news (2). Please report their traces in the log."
    )


def test_of_a_group_the_first_is_told_though_it_was_never_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has no trace then; another kind is told at once all the same."""
    caplog.set_level(logging.DEBUG)
    guard = Guard("groups")
    for kind in (ValueError, ValueError, KeyError):
        with guard:
            raise ExceptionGroup("tasks", [kind()])

    assert told(caplog) == [logging.ERROR, logging.DEBUG, logging.ERROR]
