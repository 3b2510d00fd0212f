"""The real box under a real limit of memory: it gives up what it can, and is never killed.

The kernel does the counting and the killing here, and the governor looks once a second, as at
people's homes. So a test takes minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.parts.box import Box, made_box
from tests.parts.memory_cgroup import MemoryGroup, memory_group
from tests.parts.phone import Answer, Phone, chat, connected, long_chat

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

MIB = 2**20

#: More than anything here takes, and less than a machine has that runs the tests.
PLENTY = 1536 * MIB

#: Of any limit below 2.5 GiB, 128 MiB are to stay free: less is short, and less than half severe.
SHORT, SEVERE, QUIET = 100 * MIB, 30 * MIB, 300 * MIB

#: A few rungs of the ladder while memory is short, 12 s each; all six while it is severe, 4 s each.
RUNGS_S, LADDER_S = 120.0, 180.0

#: A model stays unloaded for two minutes of quiet; then its answers have to be written.
RECOVERY_S = 1200.0

#: Each conversation that is kept takes 23 MiB. The last three stay in the pool, of which what is
#: only kept has half; those before them are what the cache has to give.
TALKS, TALK_TOKENS = 7, 1024

#: Four such answers take an idle machine of two cores a minute.
ANSWER_TOKENS, CONTEXT_TOKENS = 1800, 8192

#: What an engine has not kept after so long, it keeps no more.
STILL_S = 5.0

#: So long the engine computes, and so long it stands still, where it must not be done too soon.
COMPUTES_S, STANDS_S = 0.02, 0.08


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    with memory_group() as group:
        group.limit(PLENTY)
        yield group


@pytest.fixture
def limited(group: MemoryGroup, starter_model: Path, tmp_path: Path) -> Iterator[Box]:
    """A box that governs itself by what the kernel says, in a control group."""
    model = tmp_path / starter_model.name
    shutil.copyfile(starter_model, model)
    forget(model)
    settings = {
        "model": {"path": str(model), "context": CONTEXT_TOKENS},
        "engine": {"threads": 1, "max_sequences": 4},
        "cache": {"ram": "256MiB", "disk": 0},
        "governor": {"enabled": True, "root": "/"},
    }
    with made_box(model, settings) as box:
        box.through = group.through
        box.start()
        box.wait_ready()
        yield box
        box.stop()


def forget(path: Path) -> None:
    """Have the kernel drop a file from its cache: who reads it next is charged for it."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


class Home:
    """The box, its control group, and one phone that everybody may use."""

    def __init__(self, box: Box, group: MemoryGroup, token: str) -> None:
        self.box = box
        self.group = group
        self.token = token
        self.daemon = psutil.Process(box.pid)

    def state(self) -> dict[str, Any]:
        """What the box says of itself now."""
        state: dict[str, Any] = self.box.http("GET", "/v1/state", token=self.token).json()
        return state

    async def until(self, condition: Callable[[], object], what: str, within_s: float) -> None:
        """Wait while others go on."""
        await asyncio.to_thread(self.box.wait, condition, what, within_s)

    async def until_state(self, within_s: float, **fields: object) -> None:
        """Wait until the box says this of itself."""

        def said() -> bool:
            state = self.state()
            return all(state[name] == value for name, value in fields.items())

        await self.until(said, f"never {fields}", within_s)

    async def until_over(self, *answers: Answer) -> None:
        """Wait for the end of these."""
        await self.until(lambda: all(answer.over for answer in answers), "no end", RECOVERY_S)

    async def until_kept(self) -> None:
        """Wait until the engine has kept all it has read, which it does while it rests."""
        known_bytes, since_s = 0, time.monotonic()

        def still() -> bool:
            nonlocal known_bytes, since_s
            now_bytes, now_s = self.group.anonymous_bytes, time.monotonic()
            if abs(now_bytes - known_bytes) > MIB:
                known_bytes, since_s = now_bytes, now_s
            return now_s - since_s > STILL_S

        await self.until(still, "it keeps more and more", RUNGS_S)

    def leave(self, left_bytes: int) -> None:
        """Lower the limit until so much is left."""
        self.group.limit(self.group.needed_bytes + left_bytes)

    def check_refused(self) -> None:
        """A newcomer hears what is the matter, and when to come back."""
        reply = self.box.http("POST", "/v1/inference", token=self.token, body={"question": "Hi"})
        error = reply.json()["error"]
        assert (reply.status, error["code"]) == (503, "low_memory")
        assert error["message"].startswith("The box is short of memory")
        assert int(reply.headers["Retry-After"]) >= 1

    def check_alive(self) -> None:
        """The daemon is the one that was started."""
        assert self.daemon.is_running()
        assert self.daemon.pid == self.box.pid


@asynccontextmanager
async def phones(box: Box, *tokens: str) -> AsyncIterator[list[Phone]]:
    """Phones that read whatever the box says, for as long as the block lasts."""

    async def read(phone: Phone) -> None:
        while True:
            # Whoever waits for the model hears nothing for minutes.
            with contextlib.suppress(TimeoutError):
                await phone.step()

    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as connections:
        made = [await connections.enter_async_context(connected(box.url, t)) for t in tokens]
        readers = [tasks.create_task(read(phone), name="phone") for phone in made]
        try:
            yield made
        finally:
            for reader in readers:
                reader.cancel()


@asynccontextmanager
async def slowed(engine_pid: int) -> AsyncIterator[None]:
    """Have the engine compute a fifth of the time, or until its end.

    The ladder takes half a minute on any machine, and must find answers unfinished on any.
    """

    async def slow() -> None:
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(engine_pid, signal.SIGSTOP)
                await asyncio.sleep(STANDS_S)
                os.kill(engine_pid, signal.SIGCONT)
                await asyncio.sleep(COMPUTES_S)

    async with asyncio.TaskGroup() as tasks:
        slowing = tasks.create_task(slow(), name="slow")
        try:
            yield
        finally:
            slowing.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine_pid, signal.SIGCONT)


def check_whole(answers: list[Answer]) -> None:
    """Nothing is lost: the phones have checked every frame, and here is the end."""
    for answer in answers:
        assert answer.done is not None, answer.error
        assert answer.done["status"] == "incomplete", answer.done
        assert answer.done["usage"]["completion_tokens"] == ANSWER_TOKENS


async def test_a_limit_that_is_lowered_takes_the_cache_then_the_model_and_gives_both_back(
    limited: Box, group: MemoryGroup
) -> None:
    """Below the cache, then below the model; and the kernel kills nobody."""
    home = Home(limited, group, limited.pair("Ada"))
    async with phones(limited, home.token) as [phone]:
        for number in range(TALKS):
            talk = await phone.generate(chat(f"{number} " * (TALK_TOKENS // 2), max_tokens=1))
            await home.until_over(talk)
            assert talk.done is not None, talk.error
        await home.until_kept()
        kept_bytes = group.anonymous_bytes
        engine_pid = limited.engine_pid()

        home.leave(SHORT)
        await home.until_state(RUNGS_S, reason="memory", engine="ready")
        home.check_refused()
        await home.until(
            lambda: group.anonymous_bytes < kept_bytes - 20 * MIB, "it keeps its cache", RUNGS_S
        )
        assert "cache is given up" in home.state()["sentence"]
        assert limited.engine_pid() == engine_pid

        home.leave(SEVERE)
        await home.until_state(LADDER_S, engine="unloaded", reason="memory")
        home.check_refused()
        await home.until(lambda: not psutil.pid_exists(engine_pid), "it stays", LADDER_S)

        # Enough to be quiet, too little for the model.
        home.leave(QUIET)
        await home.until(
            lambda: "No room for the model" in home.state()["sentence"], "no word", RECOVERY_S
        )
        home.check_refused()
        assert group.oom_kills == 0

        group.limit(None)
        await home.until_state(RECOVERY_S, engine="ready", reason="none")
        answer = await phone.generate(long_chat(5))
        await home.until_over(answer)
    assert answer.done is not None, answer.error
    assert answer.text
    home.check_alive()


async def test_a_program_that_takes_the_memory_of_four_streams_costs_none_of_them(
    limited: Box, group: MemoryGroup
) -> None:
    """They wait until it is gone, and then go on; the kernel kills nobody."""
    home = Home(limited, group, limited.pair("Ada"))
    tokens = [home.token, *(limited.pair(name) for name in ("Ben", "Cleo", "Dan"))]
    async with phones(limited, *tokens) as people:
        answers = [await phone.generate(long_chat(ANSWER_TOKENS)) for phone in people]
        await home.until(lambda: all(answer.deltas for answer in answers), "no text", RUNGS_S)
        async with slowed(limited.engine_pid()):
            with group.hog(PLENTY - group.needed_bytes - SEVERE, mib_s=200):
                await home.until_state(LADDER_S, engine="unloaded", reason="memory")
                home.check_refused()
                assert not all(answer.over for answer in answers)
        await home.until_over(*answers)
    check_whole(answers)
    assert group.oom_kills == 0
    home.check_alive()


async def test_a_program_that_takes_all_memory_gets_everybody_killed_but_the_daemon(
    limited: Box, group: MemoryGroup
) -> None:
    """The engine offers itself first, and the next one goes on with its answers."""
    home = Home(limited, group, limited.pair("Ada"))
    tokens = [home.token, *(limited.pair(name) for name in ("Ben", "Cleo", "Dan"))]
    async with phones(limited, *tokens) as people:
        answers = [await phone.generate(long_chat(ANSWER_TOKENS)) for phone in people]
        await home.until(lambda: all(answer.deltas for answer in answers), "no text", RUNGS_S)
        with group.hog(2 * PLENTY, mib_s=400) as hog:
            await home.until(lambda: hog.poll() is not None, "it eats and eats", RECOVERY_S)
        await home.until_over(*answers)
    check_whole(answers)
    assert group.oom_kills >= 1
    home.check_alive()
