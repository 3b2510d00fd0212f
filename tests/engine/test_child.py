"""One engine process: it is heard out, and buried, whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from inglenook.common.errors import EngineError
from inglenook.engine.child import Child, WorkerExited
from inglenook.engine.events import Finish, JobEnded, JobStarted, Ready, StepDone, WorkerHello
from inglenook.engine.frames import BadFrame
from inglenook.engine.messages import PIPE_VERSION, Event
from tests.engine.watched import DEADLINE_S, LOAD, fake, open_files, start, until


@contextlib.asynccontextmanager
async def child(script: Path, how: str, close_s: float = DEADLINE_S) -> AsyncIterator[Child]:
    """A fake engine; at the end it is closed and must be gone, with all its files."""
    before = open_files()
    spawned = await Child.spawn(fake(script, [how]))
    pid = spawned.pid
    try:
        yield spawned
    finally:
        await spawned.close(close_s)
        assert not psutil.pid_exists(pid)
        await until(lambda: open_files() <= before)


async def hear(spawned: Child, last: type[Event]) -> list[Event]:
    """Everything up to the first event of a kind."""
    events: list[Event] = []
    async with asyncio.timeout(DEADLINE_S):
        while not events or not isinstance(events[-1], last):
            events += await spawned.events()
    return events


async def end(spawned: Child) -> EngineError:
    """Hear it out; the error it ends with."""
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(EngineError) as ended:  # noqa: PT012  # how many events come is open
            while True:
                await spawned.events()
    return ended.value


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script"


async def test_orders_go_down_and_events_come_up(script: Path) -> None:
    """In order, and several at a time."""
    async with child(script, "good") as spawned:
        assert (await hear(spawned, WorkerHello)) == [WorkerHello(PIPE_VERSION)]
        spawned.send(LOAD)
        await hear(spawned, Ready)
        spawned.send(start(1, "one two"))
        events = await hear(spawned, JobEnded)

    assert events[0] == JobStarted(1, 2)
    texts = [
        output.text for event in events if isinstance(event, StepDone) for output in event.outputs
    ]
    assert texts == ["one ", "two "]
    assert isinstance(events[-1], JobEnded)
    assert events[-1].finish is Finish.STOP


async def test_waiting_for_events_can_be_given_up_and_taken_up_again(script: Path) -> None:
    """A deadline costs no event."""
    async with child(script, "good") as spawned:
        await hear(spawned, WorkerHello)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await spawned.events()
        spawned.send(LOAD)
        assert isinstance((await hear(spawned, Ready))[-1], Ready)


@pytest.mark.parametrize(
    ("how", "returncode", "sentence", "killed", "tail"),
    [
        ("exits 3", 3, "the engine ended with exit code 3", False, ("it was too much",)),
        ("exits 0", 0, "the engine ended with exit code 0", False, ()),
        (
            "aborts in a job",
            -signal.SIGABRT,
            "the engine died of Aborted",
            False,
            ("GGML_ASSERT(false) failed",),
        ),
        (
            "killed in a job",
            -signal.SIGKILL,
            "the engine was killed (by the kernel, if memory was short)",
            True,
            (),
        ),
    ],
)
async def test_how_it_ended_is_known(
    script: Path, how: str, returncode: int, sentence: str, killed: bool, tail: tuple[str, ...]
) -> None:
    """With its last words, even if it did not finish the line."""
    async with child(script, how) as spawned:
        spawned.send(LOAD)
        spawned.send(start(1))
        ended = await end(spawned)

    assert isinstance(ended, WorkerExited)
    assert (ended.returncode, ended.killed, ended.tail) == (returncode, killed, tail)
    assert str(ended) == sentence


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("garbage in a job", "a frame of 1399154541 bytes; at most 4194304 allowed"),
        ("oversized in a job", "a frame of 4194305 bytes; at most 4194304 allowed"),
        ("no event in a job", "a frame that is no event"),
        ("no text in a job", "a frame that is no event"),
    ],
)
async def test_nonsense_is_noticed_at_once(script: Path, how: str, sentence: str) -> None:
    """Though the process lives on; closing it takes no longer than it may."""
    async with child(script, how, close_s=0.05) as spawned:
        spawned.send(LOAD)
        spawned.send(start(1))
        ended = await end(spawned)

    assert isinstance(ended, BadFrame)
    assert str(ended) == f"the engine's pipe carried nonsense: {sentence}"


async def test_a_pipe_that_closes_under_a_living_process_is_an_end_too(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more can come of it."""
    # It does not end, however long it is given.
    monkeypatch.setattr("inglenook.engine.child._EXIT_S", 0.05)
    async with child(script, "closes its pipe", close_s=0.05) as spawned:
        spawned.send(LOAD)
        assert (
            str(await end(spawned)) == "the engine closed its pipe without ending, and was killed"
        )


async def test_an_engine_that_dies_with_orders_unread_ended_like_any_other(script: Path) -> None:
    """The kernel then reports a reset pipe instead of its end."""
    async with child(script, "reads nothing", close_s=0.05) as spawned:
        spawned.send(LOAD)
        await hear(spawned, Ready)
        for job in range(100):
            spawned.send(start(job, "x" * 100_000))
        spawned.kill()
        ended = await end(spawned)

    assert isinstance(ended, WorkerExited)
    assert ended.killed


async def test_an_engine_that_died_before_an_order_was_sent_ended_like_any_other(
    script: Path,
) -> None:
    """A broken pipe, then; and orders after that go nowhere."""
    async with child(script, "good") as spawned:
        await hear(spawned, WorkerHello)
        process = psutil.Process(spawned.pid)
        spawned.kill()
        # Without giving the loop a turn, in which it would notice; the loop's thread that waits
        # for the process may, and then there is none of that number.
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.001)  # noqa: ASYNC251
        spawned.send(LOAD)
        ended = await end(spawned)
        spawned.send(LOAD)

    assert isinstance(ended, WorkerExited)
    assert ended.killed


async def test_ten_megabytes_of_chatter_are_read_and_not_kept(script: Path) -> None:
    """An engine that is not listened to would stand still; the log gets 20 short lines."""
    async with child(script, "writes a lot") as spawned:
        spawned.send(LOAD)
        spawned.send(start(1))
        await hear(spawned, JobEnded)
        os.kill(spawned.pid, signal.SIGTERM)
        ended = await end(spawned)

    assert isinstance(ended, WorkerExited)
    assert len(ended.tail) == 20
    assert ended.tail[-2:] == ("the last line", "and a half")
    assert ended.tail[-3] == "y" * 1000


async def test_a_good_engine_goes_when_its_pipe_is_closed(script: Path) -> None:
    """By itself and at once: nobody waits for the deadline."""
    began = asyncio.get_running_loop().time()
    async with child(script, "good", close_s=DEADLINE_S) as spawned:
        await hear(spawned, WorkerHello)
    assert asyncio.get_running_loop().time() - began < DEADLINE_S / 2


async def test_an_engine_that_does_not_go_is_killed(script: Path) -> None:
    """After its deadline, and not much later."""
    async with child(script, "ignores its closed pipe", close_s=0.1) as spawned:
        spawned.send(LOAD)
        await hear(spawned, Ready)
        began = asyncio.get_running_loop().time()
    assert 0.1 <= asyncio.get_running_loop().time() - began < DEADLINE_S / 2


async def test_a_program_that_does_not_exist_is_an_engine_error(tmp_path: Path) -> None:
    """And leaves nothing open."""
    before = open_files()
    with pytest.raises(EngineError, match="could not be started: No such file or directory"):
        await Child.spawn((str(tmp_path / "nothing"),))
    await until(lambda: open_files() <= before)


@pytest.mark.parametrize("turns", range(8))
async def test_being_cancelled_while_starting_leaves_nothing(turns: int) -> None:
    """At whatever point: no process, no file."""
    before = open_files()
    children = set(psutil.Process().children())
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Child.spawn((sys.executable, "-c", "input()")), name="spawn")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
    if not task.cancelled():
        await task.result().close(0.01)
    await until(lambda: open_files() <= before)
    await until(lambda: set(psutil.Process().children()) <= children)
