"""The real engine with the real model behind the real supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.cores import placement_order
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import ChatMessage, LoadModel, PrefixCache, StartJob
from inglenook.engine.supervisor import WORKER
from inglenook.models.inspect import inspect_model
from tests.engine.watched import Engine, Heard, over, start, until
from tests.parts.starter import CAPITAL, PARIS

SYSTEM = ChatMessage("system", "You are a helpful AI assistant.")


@pytest.fixture
def load(starter_model: Path) -> LoadModel:
    """As the daemon has it loaded, but by one thread: tests share a machine."""
    info = inspect_model(starter_model)
    return LoadModel(str(info.path), info.chat_template, 1024, "f16", 4, 1, 0.2)


def ask(job: int, text: str, max_tokens: int, produced: Sequence[int] = ()) -> StartJob:
    """A question, answered greedily."""
    return msgspec.structs.replace(
        start(job),
        messages=(SYSTEM, ChatMessage("user", text)),
        max_tokens=max_tokens,
        produced=tuple(produced),
    )


@pytest.mark.slow
async def test_an_engine_loads_answers_dies_and_the_next_goes_on(load: LoadModel) -> None:
    """Killed in the middle of two answers: both hear it, and can be gone on with."""
    engine = Engine(WORKER, load)
    async with engine.running():
        ready = await engine.until(EnginePhase.READY)
        loading = [state.progress for state in engine.states if state.phase is EnginePhase.LOADING]
        assert loading == sorted(loading)
        assert loading[-1] == 1.0
        assert ready.request_tokens_max == 1024

        paris = Heard()
        engine.supervisor.start(ask(1, CAPITAL, 40), paris)
        await over(paris)
        assert (paris.text, paris.what) == (PARIS, ["started", "ended: stop"])

        broken = [Heard(), Heard()]
        for job, heard in enumerate(broken, start=2):
            endless = ask(job, "Tell me about the sea.", 900)
            endless = msgspec.structs.replace(endless, ignore_eos=True)
            engine.supervisor.start(endless, heard)
        await until(lambda: all(len(heard.tokens) >= 8 for heard in broken))
        pid = engine.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for heard in broken:
            await over(heard)
            assert heard.what[-1] == "lost, killed"
        why = (await engine.until(EnginePhase.RESTARTING)).why
        assert why == "the engine was killed (by the kernel, if memory was short)"

        await engine.until(EnginePhase.READY, times=2)
        assert engine.supervisor.pid != pid
        continued = Heard()
        engine.supervisor.start(ask(4, CAPITAL, 40, paris.tokens[:4]), continued)
        await over(continued)
        assert continued.text == PARIS
        assert continued.tokens == paris.tokens[4:]


async def test_a_spoilt_model_file_is_told_in_a_sentence(load: LoadModel, tmp_path: Path) -> None:
    """From the library's log, through the pipe, to the state that people see."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"<!DOCTYPE html><title>404</title>")
    engine = Engine(WORKER, msgspec.structs.replace(load, path=str(path)))
    async with engine.running():
        state = await engine.until(EnginePhase.MISSING)

    assert state.why == (
        f"{path}: llama.cpp could not load it (invalid magic characters: '<!DO', expected 'GGUF')"
    )


@pytest.mark.slow
async def test_each_compute_thread_keeps_to_its_core_and_the_cache_to_none(
    load: LoadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on one core would wait for each other's time slices, whenever another process is busy."""
    for name in [name for name in os.environ if name.startswith(("OMP_", "GOMP_"))]:
        monkeypatch.delenv(name)
    cache = PrefixCache(str(tmp_path / "cache"), 2**20, 2**20)
    engine = Engine(WORKER, msgspec.structs.replace(load, threads=2, prefix=cache))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        masks = await asyncio.to_thread(masks_of_threads, engine.supervisor.pid)

    order = await asyncio.to_thread(placement_order)
    assert all({core} in masks for core in order[:2])
    assert os.sched_getaffinity(0) in masks


def masks_of_threads(pid: int | None) -> list[set[int]]:
    """Which cores each thread of a process may use."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [os.sched_getaffinity(int(task.name)) for task in tasks]
