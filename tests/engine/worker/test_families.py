"""Each family of models that people put on such a box: random weights, everything else real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.prompt import PromptMaker
from inglenook.models.inspect import inspect_model
from tests.parts.families import FAMILIES
from tests.parts.random_model import write_random_model

_QUESTION = [ChatMessage("user", "Why is the sky blue?")]
_TOKENS = 16


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_loads_and_computes(family: str, random_model: Callable[[str], Path]) -> None:
    """Its file passes our checks, its template makes a prompt, and its words differ."""
    path = random_model(family)
    info = inspect_model(path)
    model = Model(str(path), lambda _fraction: True)
    context = Context(model, cells=2048, kv_type="f16", sequences=2, threads=1)
    try:
        tokens, _thinking = PromptMaker(model, info.chat_template).tokens(_QUESTION)
        written = _write(context, tokens)
    finally:
        context.close()
        model.close()

    assert info.architecture == FAMILIES[family].architecture
    assert len(set(written)) > 1, written


@pytest.mark.slow
def test_the_same_seed_makes_the_same_model(tmp_path: Path) -> None:
    """And another one another, of the same shape."""
    written = [
        write_random_model(tmp_path / f"{at}.gguf", FAMILIES["gemma3"], seed=seed).read_bytes()
        for at, seed in enumerate((1, 1, 2))
    ]

    assert written[0] == written[1] != written[2]
    assert len(written[0]) == len(written[2])


def _write(context: Context, tokens: list[int]) -> list[int]:
    """Write some tokens, the likeliest each time."""
    written: list[int] = []
    position = index = 0
    while len(written) < _TOKENS:
        for start in range(0, len(tokens), context.batch_tokens):
            piece = tokens[start : start + context.batch_tokens]
            context.clear_batch()
            index = context.add(0, position, piece, output="last")
            assert context.decode() == 0
            position += len(piece)
        tokens = [int(np.argmax(context.candidates(index)["score"]))]
        written += tokens
    return written
