"""A conversation that crosses midnight, and a restart, costs nobody its prefix."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.engine.worker.templates import DATED
from tests.parts.box import Box, made_box
from tests.parts.gguf_files import model_bytes
from tests.parts.phone import connected
from tests.parts.wall_clock import wall_clock

_DAY_S = 86_400


@pytest.fixture
def dated_model(tmp_path: Path) -> Path:
    """A small one whose template tells it the date."""
    path = tmp_path / "dated.gguf"
    path.write_bytes(
        model_bytes({"tokenizer.chat_template": DATED["always"], "llama.context_length": 2048})
    )
    return path


def question(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def ask(box: Box, token: str, messages: list[dict[str, str]]) -> tuple[str, dict[str, Any]]:
    """What it answers, and what that took."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask({"messages": messages, "max_tokens": 16, "temperature": 0})
    assert answer.done is not None
    return answer.text, answer.done["usage"]


async def test_the_next_day_goes_on_where_the_last_has_ended(
    dated_model: Path, tmp_path: Path
) -> None:
    """The daemon is another, and the date is; a new conversation has the new one."""
    talk = [question("Tell me about the Eiffel tower in Paris, please.")]
    with made_box(dated_model) as box:
        await asyncio.to_thread(box.start)
        await asyncio.to_thread(box.wait_ready)
        token = await asyncio.to_thread(box.pair, "Ada")
        read = 0
        for _turn in range(2):
            text, usage = await ask(box, token, talk)
            talk += [{"role": "assistant", "content": text}, question("How tall is it?")]
            read = usage["prompt_tokens"]
        await asyncio.to_thread(box.stop)
        later = partial(wall_clock, tmp_path, 3 * _DAY_S, goes_on=True)
        box.extra_environ = await asyncio.to_thread(later)
        await asyncio.to_thread(box.restart)
        _text, known = await ask(box, token, talk)
        _text, new = await ask(box, token, talk[:1])
        await asyncio.to_thread(box.stop)

    assert known["cached_tokens"] >= read > 60
    assert new["cached_tokens"] < 40
