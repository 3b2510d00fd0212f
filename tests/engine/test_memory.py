"""What the engine's process takes, beside what the preflight says; bytes, not seconds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import ChatMessage, LoadModel
from inglenook.engine.supervisor import WORKER
from inglenook.models.footprint import Running, footprint
from inglenook.models.inspect import inspect_model
from tests.engine.watched import Engine, Heard, over, start
from tests.parts.families import FAMILIES
from tests.parts.random_model import write_random_model

CELLS, ANSWERS = 4096, 8

SENTENCE = "The tide comes in and the tide goes out again. "

#: One of each kind: dense, experts, windows, latent rows, and every sort of running state.
KINDS = (
    *("llama", "qwen2", "qwen3moe", "gpt-oss", "gemma3", "gemma4", "cohere2", "deepseek2"),
    *("qwen35", "lfm2", "granitehybrid", "nemotron_h", "jamba"),
)

#: The states of Falcon-H1-0.5B, on a model that has nothing else.
FALCON_STATES: dict[str, object] = {
    "block_count": 36,
    "ssm.inner_size": 1536,
    "ssm.state_size": 128,
    "ssm.time_step_rank": 24,
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", KINDS)
async def test_the_process_takes_what_is_said_of_it(
    family: str, random_model: Callable[[str], Path]
) -> None:
    """Never more, and at least four fifths, when the pool is nearly full: of small models, too."""
    said_bytes, taken_bytes = await _measure(await asyncio.to_thread(random_model, family))

    assert 1.0 <= said_bytes / taken_bytes <= 1.25, (said_bytes, taken_bytes)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_large_running_states_are_not_forgotten(tmp_path: Path) -> None:
    """What is said of a file of 100 MB was less than half of what it took."""
    path = await asyncio.to_thread(
        write_random_model,
        tmp_path / "falcon.gguf",
        FAMILIES["falcon-h1"],
        changes=FALCON_STATES,
    )

    said_bytes, taken_bytes = await _measure(path, 600)

    assert taken_bytes > 2 * (await asyncio.to_thread(path.stat)).st_size
    assert 1.0 <= said_bytes / taken_bytes <= 1.25, (said_bytes, taken_bytes)


async def _measure(path: Path, prompt_tokens: int = CELLS * 9 // 10) -> tuple[int, int]:
    """What the preflight says, and the most that the engine's process ever had in memory."""
    info = await asyncio.to_thread(inspect_model, path)
    said = footprint(info, Running(ANSWERS), CELLS).total_bytes
    engine = Engine(WORKER, LoadModel(str(path), info.chat_template, CELLS, "f16", ANSWERS, 1, 0.2))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        first = await _ask(engine, 1, 50)
        await _ask(engine, 2, prompt_tokens * 50 // first)
        pid = engine.supervisor.pid
        status = await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)
    [peak_kib] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return said, int(peak_kib) * 1024


async def _ask(engine: Engine, job: int, sentences: int) -> int:
    """Have a prompt read and some words written; returns how many tokens the prompt has."""
    prompt = ChatMessage("user", SENTENCE * sentences)
    asked = structs.replace(start(job), messages=(prompt,), max_tokens=4, ignore_eos=True)
    heard = Heard()
    engine.supervisor.start(asked, heard)
    await over(heard)
    assert heard.what == ["started", "ended: length"]
    return heard.prompt_tokens
