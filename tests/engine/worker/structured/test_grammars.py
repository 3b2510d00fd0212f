"""Answers with a schema begin after its trial, and other answers do not wait for that."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from inglenook.engine.orders import StartJob
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.pipe import Pipe
from inglenook.engine.worker.structured.grammar_state import GrammarState
from inglenook.engine.worker.structured.grammars import _KNOWN_MAX, Grammars
from inglenook.engine.worker.structured.refusal import SchemaRefused, SchemaUntried
from tests.engine.worker.writing import order

_DEADLINE_S = 30.0

GOOD, OTHER = '{"type": "integer"}', '{"type": "string"}'
BAD = '{"type": "integer", "minimum": 5, "maximum": 3}'


@dataclass
class Bench:
    """The object under test, and the pipe that watches its trials."""

    grammars: Grammars
    thoughts: ThinkFormat
    pipe: Pipe

    def make_grammar(self, start: StartJob) -> GrammarState | None:
        return self.grammars.make_grammar(start, self.thoughts.parser(""))

    def settle(self, count: int) -> list[int]:
        """Do what the engine's loop does until that many answers are settled; return their jobs."""
        settled: list[int] = []
        while len(settled) < count:
            settled += [start.job for start in self.grammars.advance()]
            if self.grammars.waiting and not self.grammars.pressing:
                assert self.grammars._trial is not None, "it waits for nothing"
                self.pipe.orders(_DEADLINE_S)
        return settled


@pytest.fixture
def bench(toy: Model) -> Iterator[Bench]:
    """An engine that has loaded the toy model."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipe = Pipe(theirs)
        thoughts = ThinkFormat(toy, "")
        grammars = Grammars(toy, thoughts, pipe)
        yield Bench(grammars, thoughts, pipe)
        grammars.close()
        assert not pipe._others


def asking(job: int, schema: str | None) -> StartJob:
    return msgspec.structs.replace(order(job, 10), schema=schema)


def test_a_good_schema_has_a_grammar(bench: Bench) -> None:
    """A fresh one for each answer."""
    first, second = asking(1, GOOD), asking(2, GOOD)
    bench.grammars.add(first)
    bench.grammars.add(second)
    assert bench.settle(2) == [1, 2]

    grammars = [bench.make_grammar(start) for start in (first, second)]
    assert grammars[0] is not None
    assert grammars[1] is not None
    five = 3 + ord("5")
    assert grammars[0].take(five)
    assert five in grammars[1].allowed()
    assert 2 in grammars[0].allowed()
    assert 2 not in grammars[1].allowed()


def test_a_bad_schema_has_none(bench: Bench) -> None:
    """Instead there are the place and the reason of the fault."""
    start = asking(1, BAD)
    bench.grammars.add(start)
    assert bench.settle(1) == [1]
    with pytest.raises(SchemaRefused, match=r"'#' cannot be kept to: minimum \(5\)"):
        bench.make_grammar(start)


def test_without_a_schema_there_is_nothing_to_keep_to(bench: Bench) -> None:
    """And the vocabulary is not read."""
    assert bench.make_grammar(asking(1, None)) is None
    assert bench.grammars.advance() == []
    assert bench.grammars._vocabulary is None


def test_they_are_tried_one_after_the_other(bench: Bench) -> None:
    """In order of arrival; never two processes at once."""
    for job, schema in enumerate((GOOD, BAD, OTHER), start=1):
        bench.grammars.add(asking(job, schema))
    assert bench.settle(3) == [1, 2, 3]
    assert list(bench.grammars._faults) == [GOOD, BAD, OTHER]


def test_what_came_of_a_schema_is_remembered(bench: Bench) -> None:
    """The second time no process is started."""
    bench.grammars.add(asking(1, GOOD))
    bench.settle(1)
    bench.grammars.add(asking(2, GOOD))
    assert [start.job for start in bench.grammars.advance()] == [2]
    assert bench.grammars._trial is None


def test_not_of_any_number_of_schemas(bench: Bench) -> None:
    """The oldest is evicted, and would be tried again."""
    bench.grammars._faults.update((str(number), "") for number in range(_KNOWN_MAX))
    bench.grammars.add(asking(1, GOOD))
    bench.settle(1)
    assert len(bench.grammars._faults) == _KNOWN_MAX
    assert "0" not in bench.grammars._faults
    assert GOOD in bench.grammars._faults


def test_it_presses_only_while_there_is_something_to_do(bench: Bench) -> None:
    """Else the engine's loop would spin during a trial."""
    assert not bench.grammars.pressing
    bench.grammars.add(asking(1, GOOD))
    parts = 0
    while bench.grammars.pressing:
        assert bench.grammars.advance() == []
        parts += 1
    assert 2 <= parts < 10
    assert bench.grammars._trial is not None
    assert bench.settle(1) == [1]
    assert not bench.grammars.pressing


def test_an_answer_that_is_cancelled_is_given_back(bench: Bench) -> None:
    """Also during its schema's trial; the next schema is then tried."""
    for job, schema in enumerate((BAD, GOOD), start=1):
        bench.grammars.add(asking(job, schema))
    bench.grammars.advance()
    bench.grammars.advance()
    forgotten = bench.grammars.forget(1)
    assert forgotten is not None
    assert forgotten.job == 1
    assert bench.grammars.forget(1) is None
    assert bench.settle(1) == [2]


def test_where_nothing_can_be_tried_the_answer_is_refused(bench: Bench) -> None:
    """Here because file numbers have run out; the engine continues."""
    bench.grammars.add(asking(1, GOOD))
    bench.settle(1)
    start = asking(2, OTHER)
    bench.grammars.add(start)
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        assert bench.grammars.advance() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bench.settle(1) == [2]
    with pytest.raises(SchemaUntried, match="Too many open files"):
        bench.make_grammar(start)

    bench.grammars.add(start)
    assert bench.settle(1) == [2]
    assert bench.make_grammar(start) is not None


def test_a_trying_process_that_is_killed_is_nobodys_fault(bench: Bench) -> None:
    """All answers with that schema are refused; the next one has it tried again."""
    killed, same, other = asking(1, GOOD), asking(2, GOOD), asking(3, OTHER)
    for start in (killed, same, other):
        bench.grammars.add(start)
    while bench.grammars._trial is None:
        bench.grammars.advance()
    os.kill(bench.grammars._trial._process.pid, signal.SIGKILL)
    assert bench.settle(3) == [1, 2, 3]
    for start in (killed, same):
        with pytest.raises(SchemaUntried, match="was ended"):
            bench.make_grammar(start)
    assert bench.make_grammar(other) is not None

    bench.grammars.add(killed)
    assert bench.settle(1) == [1]
    assert bench.make_grammar(killed) is not None


def test_what_is_settled_stays_so_whatever_is_forgotten(bench: Bench) -> None:
    """More answers may be settled than schemas are remembered."""
    good, bad = asking(1, GOOD), asking(2, BAD)
    bench.grammars.add(good)
    bench.grammars.add(bad)
    bench.settle(2)
    bench.grammars.purge()
    assert bench.make_grammar(good) is not None
    with pytest.raises(SchemaRefused, match="minimum"):
        bench.make_grammar(bad)
    assert not bench.grammars._settled


def test_schemas_are_forgotten_when_everything_is(bench: Bench) -> None:
    """A trial without a waiting answer ends; one with a waiting answer continues."""
    bench.grammars.add(asking(1, BAD))
    bench.settle(1)
    bench.grammars.forget(1)
    for job in (2, 3):
        bench.grammars.add(asking(job, GOOD))
    bench.grammars.advance()
    bench.grammars.purge()
    assert not bench.grammars._faults
    assert bench.grammars._trial is not None

    bench.grammars.forget(2)
    bench.grammars.forget(3)
    bench.grammars.purge()
    assert bench.grammars._trial is None
    assert not any(schema in repr(vars(bench.grammars)) for schema in (BAD, GOOD))


def test_what_was_too_much_is_tried_again(bench: Bench) -> None:
    """The cause may have been the box; faults of the schema are remembered."""
    slow, bad = asking(1, '{"type": "integer", "multipleOf": 1000003}'), asking(2, BAD)
    for _ in range(2):
        bench.grammars.add(slow)
        bench.grammars.add(bad)
        assert bench.settle(2) == [1, 2]
        with pytest.raises(SchemaRefused, match="too much time or memory"):
            bench.make_grammar(slow)
    bench.grammars.add(bad)
    assert [start.job for start in bench.grammars.advance()] == [2]
    bench.grammars.add(slow)
    assert bench.grammars.advance() == []
    assert bench.grammars._trial is not None


def test_an_engine_that_keeps_to_no_schema_does_not_read_the_library() -> None:
    """Most engines never need it."""
    program = "import inglenook.engine.worker.startup, sys; print('llguidance' in sys.modules)"
    ran = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, timeout=_DEADLINE_S,
        check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "False"
