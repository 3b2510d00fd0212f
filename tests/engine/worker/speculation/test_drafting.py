"""Drafts change the number of steps, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.engine.events import Finish
from inglenook.engine.orders import Sampling
from inglenook.engine.worker.llama import Model
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS
from tests.engine.worker.writing import alone, follow, order, sampling, text_of, writing


def prompt(tokens: int, seed: int) -> list[int]:
    """A prompt of that length whose second half repeats the first."""
    rng = random.Random(seed)
    half = [rng.randrange(FIRST_BYTE, VOCAB_TOKENS) for _ in range(tokens // 2)]
    return [*half, *half]


@pytest.mark.slow
def test_a_text_that_repeats_itself_takes_fewer_steps(starter: Model) -> None:
    """A periodic text is guessed right; the answer is the one without drafts."""
    tokens = starter.tokenize("The cat sat on the mat, and the dog lay by the door. " * 8 + "The")
    with writing(starter, speculate=True) as writer:
        writer.submit(order(1, 60), tokens)
        guessed = writer.finish()[1]

    assert guessed.tokens == alone(starter, order(1, 60), tokens).tokens
    assert writer.steps < 20


@pytest.mark.parametrize("stop_at", [20, 100, 250])
def test_a_stop_string_ends_it_in_the_middle_of_a_draft(toy: Model, stop_at: int) -> None:
    """Nothing after it is shown or counted."""
    # Guessed as well: with other batches between two tokens as likely the other might be taken.
    with writing(toy, speculate=True) as writer:
        writer.submit(order(1, 300), prompt(40, 1))
        text = writer.finish()[1].whole
    stop = text[stop_at : stop_at + 5]
    with writing(toy, speculate=True) as writer:
        writer.submit(order(1, 300, stop=(stop,)), prompt(40, 1))
        answer = writer.finish()[1]

    assert answer.whole == text[: text.index(stop)]
    assert answer.ended is not None
    assert answer.ended.finish is Finish.STOP
    assert answer.ended.completion_tokens == len(answer.tokens)


JOBS = st.tuples(st.integers(2, 100), st.integers(1, 80), st.integers(0, 30), st.booleans())


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs=st.lists(JOBS, min_size=1, max_size=5), cells=st.sampled_from([256, 1024]))
def test_whoever_is_guessed_for_every_answer_is_its_own(
    toy: Model, jobs: list[tuple[int, int, int, bool]], cells: int
) -> None:
    """Greedy or not, in any pool: no token is missing, and each follows from the one before."""
    hows: dict[int, Sampling] = {}
    with writing(toy, cells=cells, speculate=True) as writer:
        while writer.steps < 40 or writer.batcher.busy:
            for job, (tokens, answer_tokens, comes, greedy) in enumerate(jobs):
                if writer.steps == comes:
                    hows[job] = sampling(temperature=0.0 if greedy else 0.3, seed=job)
                    writer.submit(order(job, answer_tokens, how=hows[job]), prompt(tokens, job))
            writer.step()
        answers = writer.finish()

    for job, (tokens, answer_tokens, _comes, greedy) in enumerate(jobs):
        assert len(answers[job].tokens) == answer_tokens
        assert answers[job].whole == text_of(toy, answers[job].tokens)
        if greedy:
            assert follow(toy, prompt(tokens, job), answers[job].tokens)


def test_wrong_guesses_cost_no_cells(toy: Model) -> None:
    """They are freed at once, by the library's count."""
    with writing(toy, cells=512, speculate=True) as writer:
        for job in range(4):
            writer.submit(order(job, 100, how=sampling(temperature=1.0, seed=job)), prompt(30, job))
        while writer.batcher.busy:
            writer.step()
            writer.check_cells()
