"""The table of architectures: each loads, answers as the library would, and is not read twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import llama_cpp.llama_cpp as lib
import numpy as np
import pytest

from benchmarks.architectures import TABLE, Trial
from inglenook.engine.worker.llama import Model
from tests.parts.families import FAMILIES

RandomModel = Callable[[str], Path]
Scores: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

#: What rounding makes of a score: prompts are computed in other pieces here, and cells are f16.
#: A token that follows another beginning is off by a multiple. Some models of random weights make
#: much of it: of those an answer has to be as near as the library is to itself.
ROUNDING = 0.25
PIECES_TOKENS = (512, 64, 17)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", FAMILIES)
async def test_what_is_kept_of_an_architecture(
    random_model: RandomModel, tmp_path: Path, family: str
) -> None:
    """Of every prompt as much is found as its states allow, and the answer is as if read anew."""
    path = await asyncio.to_thread(random_model, family)
    trial = await asyncio.to_thread(Trial, family, path, tmp_path / "cache")
    try:
        # Plain cells are moved by one piece of code, whatever the family: two are killed for all.
        lives = trial.measured.kept_as != "cells" or family in {"llama", "deepseek2"}
        measured = await trial.run(lives=lives)
        assert {
            name: case.found for name, case in measured.cases.items() if case.found < case.least
        } == {}
        wrong = await asyncio.to_thread(wrong_answers, trial)
    finally:
        trial.close()
    assert wrong == {}
    assert measured.row.removesuffix(" |") in TABLE.read_text(encoding="utf-8")


def wrong_answers(trial: Trial) -> dict[str, float]:
    """Which answers are none that the library would write, and how far off they are."""
    wrong = {}
    for name, case in trial.measured.cases.items():
        scores = scores_along(trial.model, case.prompt, case.answer, PIECES_TOKENS[0])
        far = distance(scores, case.answer)
        if far > ROUNDING and far > 2 * noise(trial.model, case.prompt, case.answer, scores):
            wrong[name] = far
    return wrong


def distance(scores: Sequence[Scores], answer: Sequence[int]) -> float:
    """How far a token of an answer is below the likeliest, at most."""
    return max(
        (float(at.max() - at[token]) for at, token in zip(scores, answer, strict=True)), default=0.0
    )


def noise(
    model: Model, prompt: Sequence[int], answer: Sequence[int], scores: Sequence[Scores]
) -> float:
    """How far apart the library's own scores are, by the pieces in which it is given a prompt."""
    return max(
        float(np.abs(one - other).max())
        for pieces_tokens in PIECES_TOKENS[1:]
        for one, other in zip(
            scores, scores_along(model, prompt, answer, pieces_tokens), strict=True
        )
    )


def scores_along(
    model: Model, prompt: Sequence[int], answer: Sequence[int], pieces_tokens: int
) -> list[Scores]:
    """What the library alone, cold, has for each token of an answer."""
    with context(model, len(prompt) + len(answer)) as pool:
        found = [read(pool, model.vocab_tokens, prompt, pieces_tokens)]
        for place, token in enumerate(answer[:-1], start=len(prompt)):
            found.append(decode(pool, model.vocab_tokens, place, [token]))
    return found[: len(answer)]


def read(pool: Any, vocab_tokens: int, prompt: Sequence[int], pieces_tokens: int) -> Scores:
    """Compute a prompt in pieces; returns the scores of what may follow."""
    *_before, last = (
        decode(pool, vocab_tokens, start, prompt[start : start + pieces_tokens])
        for start in range(0, len(prompt), pieces_tokens)
    )
    return last


@contextmanager
def context(model: Model, tokens: int) -> Iterator[Any]:
    """A context of the library's own, for one sequence."""
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = tokens + 64, 2048, 512
    params.n_threads = params.n_threads_batch = 1
    pool = lib.llama_init_from_model(model.handle, params)
    assert pool
    try:
        yield pool
    finally:
        lib.llama_free(pool)


def decode(pool: Any, vocab_tokens: int, position: int, tokens: Sequence[int]) -> Scores:
    """Compute some tokens; returns the scores of what may follow."""
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    try:
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place] = token
            batch.pos[place] = position + place
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = place == len(tokens) - 1
        assert lib.llama_decode(pool, batch) == 0
        found = lib.llama_get_logits_ith(pool, len(tokens) - 1)
        return np.ctypeslib.as_array(found, shape=(vocab_tokens,)).copy()
    finally:
        lib.llama_batch_free(batch)
