"""A sink that fails costs its own job: the engine is told to end it, and the others go on."""

from __future__ import annotations

import pytest

from inglenook.engine.events import (
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    Output,
    PrefillDone,
    Refusal,
)
from inglenook.engine.frames import BadFrame
from inglenook.engine.sinks import Sinks
from tests.engine.watched import Heard


class Failing(Heard):
    """A sink of which one call fails."""

    def __init__(self, call: str) -> None:
        super().__init__()
        setattr(self, call, self._fail)

    def _fail(self, *_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError

    def prepared(self, event: PrefillDone) -> None:
        self._over("prepared")


class Engine:
    """What two jobs have told, the first of whose sinks fails.

    Attributes:
        cancelled: Which jobs the engine was told to end.
    """

    def __init__(self, call: str) -> None:
        self.cancelled: list[int] = []
        self.sinks = Sinks(self.cancelled.append)
        self.failing, self.well = Failing(call), Heard()
        if call == "prepared":
            self.sinks.read(1, self.failing)
        else:
            self.sinks.write(1, self.failing)
        self.sinks.write(2, self.well)


def ended(job: int) -> JobEnded:
    return JobEnded(job, Finish.STOP, "", 1, 0, 0.1, 0.1)


def test_one_that_fails_at_text_is_cancelled_and_told() -> None:
    """What the engine still says of it is nobody's concern, and no fault of the engine's."""
    engine = Engine("added")
    for job in (1, 2, 1, 2):
        engine.sinks.added(Output(job, "word ", (1,)))

    assert engine.cancelled == [1]
    assert engine.failing.what == ["broken"]
    assert engine.well.text == "word word "
    engine.sinks.heard(JobStarted(1, 10))
    engine.sinks.heard(ended(1))
    engine.sinks.heard(ended(2))
    assert engine.well.what == ["ended: stop"]
    assert not engine.sinks


def test_one_that_fails_at_its_begin_is_cancelled_too() -> None:
    """Before it has any text."""
    engine = Engine("started")
    engine.sinks.heard(JobStarted(1, 10))

    assert (engine.cancelled, engine.failing.what) == ([1], ["broken"])


@pytest.mark.parametrize(
    ("call", "event"),
    [
        ("ended", ended(1)),
        ("refused", JobRefused(1, Refusal.TEMPLATE, detail="no")),
        ("prepared", PrefillDone(1, 10, 10)),
    ],
)
def test_one_that_fails_at_its_end_is_over(
    call: str, event: JobEnded | JobRefused | PrefillDone
) -> None:
    """The engine has nothing left to end; what it says of that job after is nonsense."""
    engine = Engine(call)
    engine.sinks.heard(event)

    assert (engine.cancelled, engine.failing.what) == ([], ["broken"])
    assert 1 not in engine.sinks
    with pytest.raises(BadFrame, match="an event for job 1"):
        engine.sinks.heard(event)


@pytest.mark.parametrize("call", ["lost", "unloaded"])
def test_the_end_of_an_engine_is_told_to_all(call: str) -> None:
    """Whoever of them fails."""
    engine = Engine(call)
    if call == "lost":
        engine.sinks.lose(killed=True)
    else:
        engine.sinks.unload()

    assert engine.failing.what == ["broken"]
    assert engine.well.what == ["lost, killed" if call == "lost" else "unloaded"]
    assert not engine.sinks
