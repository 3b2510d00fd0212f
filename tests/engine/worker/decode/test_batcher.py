"""Continuous batching: each answer is as it would be alone, whatever the library returns."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.engine.events import Finish, JobRefused, JobStarted, Refusal
from inglenook.engine.worker.llama import Model
from tests.engine.worker.toy import FIRST_BYTE, TRAINED_TOKENS, VOCAB_TOKENS
from tests.engine.worker.writing import (
    AbortSwitch,
    FixedBudget,
    alone,
    follow,
    order,
    sampling,
    text_of,
    writing,
)

NO_TOKEN = VOCAB_TOKENS + 1000


def prompt(tokens: int, seed: int = 0) -> list[int]:
    """A prompt of that length."""
    rng = random.Random(seed)
    return [rng.randrange(FIRST_BYTE, VOCAB_TOKENS) for _ in range(tokens)]


@pytest.mark.parametrize("tokens", [1, 2, 31, 32, 33, 64, 65, 300])
def test_the_same_question_twice_has_the_same_answer(toy: Model, tokens: int) -> None:
    """One after the other in the same pool, greedy and by a seed."""
    for how in (sampling(), sampling(temperature=1.0, seed=7)):
        with writing(toy) as writer:
            # Read in one go a prompt's last token is rounded otherwise than by itself, as it is
            # computed once the rest is there: the choice between two that are as good may differ.
            for job in (0, 1, 2):
                writer.submit(order(job, 12, how=how), prompt(tokens))
                writer.finish()
            assert writer.answers[1].tokens == writer.answers[2].tokens
            assert len(writer.answers[1].tokens) == 12
            if how.temperature == 0:
                for answer in writer.answers.values():
                    assert follow(toy, prompt(tokens), answer.tokens)


@pytest.mark.parametrize(
    "grants", [(32,), (64,), (96, 32), (512,), (128, 448), (32, 64, 256, 32), (33,), (7, 500)]
)
def test_an_answer_does_not_depend_on_how_its_prompt_was_cut(
    either_toy: Model, grants: tuple[int, ...]
) -> None:
    """Step sizes depend on timing; the answer does not."""
    with writing(either_toy, budget=FixedBudget(*grants)) as writer:
        writer.submit(order(1, 12), prompt(700))
        assert follow(either_toy, prompt(700), writer.finish()[1].tokens)


def test_eight_at_once_each_answer_as_if_it_were_alone(either_toy: Model) -> None:
    """No answer waits for another to finish: from its first token on, each is in every step."""
    prompts = {job: prompt(10 + 20 * job, job) for job in range(8)}
    with writing(either_toy, sequences=8, cells=2048) as writer:
        for job, text in prompts.items():
            assert isinstance(writer.submit(order(job, 20 + job), text), JobStarted)
        answers = writer.finish()

    for job, text in prompts.items():
        assert follow(either_toy, text, answers[job].tokens)
        assert answers[job].whole == text_of(either_toy, answers[job].tokens)
        assert answers[job].at == list(range(answers[job].at[0], answers[job].at[0] + 20 + job))


def test_a_long_prompt_stops_nobody(toy: Model) -> None:
    """While 800 tokens are prefilled in 25 steps, the decoding answer gets a token in each."""
    with writing(toy, budget=FixedBudget(32)) as writer:
        writer.submit(order(1, 60), prompt(10))
        writer.step()
        writer.submit(order(2, 5), prompt(800, 2))
        answers = writer.finish()

    assert answers[2].at[0] == 25
    assert answers[1].at == list(range(60))


def test_a_short_prompt_does_not_wait_for_a_long_one(toy: Model) -> None:
    """It arrives later and is answered first."""
    with writing(toy, budget=FixedBudget(64)) as writer:
        writer.submit(order(1, 5), prompt(900))
        writer.submit(order(2, 5), prompt(20, 2))
        answers = writer.finish()

    assert answers[2].at[0] == 0
    assert answers[1].at[0] > answers[2].at[-1]


def test_who_finds_no_place_waits_and_is_next(toy: Model) -> None:
    """Two sequences, five jobs: in order of arrival, the next begins when one has ended."""
    with writing(toy, sequences=2) as writer:
        for job in range(5):
            assert isinstance(writer.submit(order(job, 10), prompt(8, job)), JobStarted)
        answers = writer.finish()

    firsts = [answers[job].at[0] for job in range(5)]
    assert firsts == sorted(firsts)
    assert firsts[2] == answers[0].at[-1] + 1


def test_steps_are_alike_while_nobody_comes_or_goes(toy: Model) -> None:
    """One plan serves many steps, until a job is added, ends or is cancelled."""
    with writing(toy, sequences=2) as writer:

        def steady(steps: int) -> list[bool]:
            found = []
            for _ in range(steps):
                writer.step()
                found.append(writer.batcher.steady)
            return found

        writer.submit(order(1, 20), prompt(100))
        assert steady(4) == [False, False, True, True]
        writer.submit(order(2, 6), prompt(10))
        assert not writer.batcher.steady
        assert steady(3) == [False, True, True]
        writer.submit(order(3, 9), prompt(10))
        # It waits for a place; who has one goes on, and ends.
        assert steady(3) == [False, False, False]
        assert steady(3) == [False, True, True]
        writer.batcher.cancel(3)
        assert steady(2) == [True, True]
        answers = writer.finish()

    for job, tokens in ((1, 20), (2, 6), (3, 3)):
        assert len(answers[job].tokens) == tokens


@pytest.mark.parametrize("max_tokens", [1, 2, 50])
def test_max_tokens_is_exact(toy: Model, max_tokens: int) -> None:
    """Not one token more or less, and the finish reason is right."""
    answer = alone(toy, order(1, max_tokens), prompt(10))

    assert len(answer.tokens) == max_tokens
    assert answer.ended is not None
    assert (answer.ended.finish, answer.ended.completion_tokens) == (Finish.LENGTH, max_tokens)


@pytest.mark.parametrize(("cells", "limit"), [(256, 256), (4096, TRAINED_TOKENS)])
def test_an_answer_without_a_limit_ends_with_the_context(
    toy: Model, cells: int, limit: int
) -> None:
    """At the pool's size, or at the model's training context."""
    with writing(toy, cells=cells, sequences=1, budget=FixedBudget(512)) as writer:
        writer.submit(order(1, None), prompt(limit - 20))
        answer = writer.finish()[1]

    assert answer.ended is not None
    assert (answer.ended.finish, len(answer.tokens)) == (Finish.LENGTH, 20)


@pytest.mark.parametrize(("tokens", "fits"), [(255, True), (256, False), (5000, False)])
def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused(
    toy: Model, tokens: int, fits: bool
) -> None:
    """With both numbers, so that the client can show by how much."""
    with writing(toy, cells=256, budget=FixedBudget(256)) as writer:
        reply = writer.submit(order(1, None), prompt(tokens))
        assert writer.batcher.busy == fits
        writer.finish()

    if fits:
        assert len(writer.answers[1].tokens) == 1
    else:
        assert reply == JobRefused(1, Refusal.CONTEXT_TOO_LONG, tokens, 256)


@pytest.mark.parametrize("steps", [0, 1, 3, 12])
def test_a_cancelled_job_ends_with_the_next_step(either_toy: Model, steps: int) -> None:
    """Before it begins, during prefill, during decoding; other answers do not change."""
    with writing(either_toy, budget=FixedBudget(32)) as writer:
        writer.submit(order(1, 30), prompt(5))
        writer.submit(order(2, 100), prompt(200, 2))
        for _ in range(steps):
            writer.step()
        writer.batcher.cancel(2)
        writer.batcher.cancel(2)
        writer.batcher.cancel(77)
        written = len(writer.answers[2].tokens)
        writer.step()

        cancelled = writer.answers[2]
        assert cancelled.ended is not None
        assert cancelled.ended.finish is Finish.CANCELLED
        assert len(cancelled.tokens) == cancelled.ended.completion_tokens == written
        other = writer.finish()[1]
        assert follow(either_toy, prompt(5), other.tokens)
        assert other.at == list(range(30))


def test_a_job_cancelled_while_it_waits_never_gets_a_place(toy: Model) -> None:
    """The next job does."""
    with writing(toy, sequences=1) as writer:
        for job in (1, 2, 3):
            writer.submit(order(job, 5), prompt(5, job))
        writer.step()
        writer.batcher.cancel(2)
        writer.step()
        assert writer.answers[2].ended is not None
        answers = writer.finish()

    assert answers[2].tokens == []
    assert answers[3].at[0] == answers[1].at[-1] + 1


def test_a_pool_too_small_for_all_parks_the_newest_and_loses_nothing(toy: Model) -> None:
    """512 cells, four answers of 260 tokens: each is as it would be alone in the pool."""
    prompts = {job: prompt(60, job) for job in range(4)}
    with writing(toy, cells=512, budget=FixedBudget(32)) as writer:
        for job, text in prompts.items():
            writer.submit(order(job, 200), text)
        answers = writer.finish()

    stood_still = {job: answer.at[-1] - answer.at[0] - 199 for job, answer in answers.items()}
    assert stood_still[0] == 0
    assert stood_still[3] > 0
    for job, text in prompts.items():
        assert len(answers[job].tokens) == 200
        assert follow(toy, text, answers[job].tokens)
        assert answers[job].whole == text_of(toy, answers[job].tokens)


def test_who_was_parked_comes_back_before_who_only_waited(toy: Model) -> None:
    """Its client has already been sent text."""
    with writing(toy, cells=512, budget=FixedBudget(512)) as writer:
        for job in range(4):
            writer.submit(order(job, 150), prompt(60, job))
        writer.submit(order(4, 10), prompt(60, 4))
        answers = writer.finish()

    steps = answers[3].at
    back = next(now for before, now in pairwise(steps) if now > before + 1)
    assert back <= answers[4].at[0]


def test_two_prompts_that_do_not_fit_together_are_read_one_after_the_other(toy: Model) -> None:
    """One of two prefills would be thrown away again."""
    with writing(toy, cells=512, budget=FixedBudget(64)) as writer:
        writer.submit(order(1, 20), prompt(300, 1))
        writer.submit(order(2, 20), prompt(300, 2))
        answers = writer.finish()

    # 300 tokens are five steps.
    assert answers[2].at[0] == answers[1].at[-1] + 5


@pytest.mark.parametrize("bad_jobs", [(0,), (2,), (4,), (1, 3), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("bad_place", [0, 31, 40, 99])
def test_a_batch_the_library_refuses_fails_only_whom_it_failed_for(
    either_toy: Model, bad_jobs: tuple[int, ...], bad_place: int
) -> None:
    """An invalid token, early or late in a prompt, beside other sequences in the batch."""
    prompts = {job: prompt(100 if job in bad_jobs else 20 + 20 * job, job) for job in range(5)}
    for job in bad_jobs:
        prompts[job][bad_place] = NO_TOKEN
    with writing(either_toy, sequences=5, budget=FixedBudget(160)) as writer:
        for job, text in prompts.items():
            writer.submit(order(job, 15), text)
        answers = writer.finish()

    for job, text in prompts.items():
        ended = answers[job].ended
        assert ended is not None
        if job in bad_jobs:
            assert (ended.finish, answers[job].tokens) == (Finish.FAILED, [])
        else:
            assert follow(either_toy, text, answers[job].tokens)
            # The step with the failure was one of theirs too.
            assert answers[job].at == list(range(answers[job].at[0], answers[job].at[0] + 15))


def test_answers_under_way_go_on_when_a_newcomer_fails(toy: Model) -> None:
    """Each gets its token in the very step in which that one fails."""
    with writing(toy, sequences=4) as writer:
        for job in (1, 2, 3):
            writer.submit(order(job, 20), prompt(10, job))
        for _ in range(5):
            writer.step()
        writer.submit(order(4, 20), [5, NO_TOKEN, 6])
        writer.step()
        failed = writer.answers[4].ended
        assert failed is not None
        assert failed.finish is Finish.FAILED
        answers = writer.finish()

    for job in (1, 2, 3):
        assert answers[job].at == list(range(20))
        assert follow(toy, prompt(10, job), answers[job].tokens)


@pytest.mark.parametrize("aborted", [(0,), (1, 2), (4,), (9, 10, 11), tuple(range(0, 30, 2))])
def test_an_aborted_step_is_computed_again(either_toy: Model, aborted: tuple[int, ...]) -> None:
    """During prefill or decoding: the answers are as they would have been."""
    prompts = {job: prompt(40 + 60 * job, job) for job in range(3)}
    with writing(either_toy, budget=FixedBudget(64)) as writer:
        switch = AbortSwitch(writer.context)
        for job, text in prompts.items():
            writer.submit(order(job, 10), text)
        while writer.batcher.busy:
            switch.set(abort=writer.steps in aborted)
            writer.step()
            for answer in writer.answers.values():
                assert not set(answer.at) & set(aborted)
        answers = writer.finish()

    for job, text in prompts.items():
        assert len(answers[job].tokens) == 10
        assert follow(either_toy, text, answers[job].tokens)


@pytest.mark.parametrize("produced", [1, 5, 29])
def test_an_answer_goes_on_where_an_engine_had_to_stop(either_toy: Model, produced: int) -> None:
    """Its text so far is sent first, then the rest; together they are one answer."""
    before = alone(either_toy, order(1, 30), prompt(50)).tokens[:produced]

    continued = alone(either_toy, order(1, 30, produced=before), prompt(50))

    assert follow(either_toy, prompt(50), [*before, *continued.tokens])
    assert continued.whole == text_of(either_toy, [*before, *continued.tokens])
    assert continued.ended is not None
    assert continued.ended.completion_tokens == len(before) + len(continued.tokens) == 30


def test_an_answer_that_was_complete_already_only_ends(toy: Model) -> None:
    """The previous engine died between the last token and the end."""
    unbroken = alone(toy, order(1, 30), prompt(50))

    again = alone(toy, order(1, 30, produced=unbroken.tokens), prompt(50))

    assert again.tokens == []
    assert again.whole == unbroken.whole
    assert again.ended is not None
    assert again.ended.finish is Finish.LENGTH


def test_a_stop_string_is_found_across_the_engines_death(toy: Model) -> None:
    """Its first part was generated before, the rest now; none of it is shown."""
    # No two tokens of this answer are so much as a tenth from being as likely as each other.
    asked = prompt(50, 58)
    tokens = alone(toy, order(1, 30), asked).tokens
    stop = text_of(toy, tokens)[8:12]

    for produced in range(len(tokens)):
        start = order(1, 30, stop=(stop,), produced=tokens[:produced])
        continued = alone(toy, start, asked)
        text = text_of(toy, [*tokens[:produced], *continued.tokens])
        assert continued.whole == text[: text.index(stop)]
        assert continued.ended is not None
        assert continued.ended.finish is Finish.STOP


def test_tokens_from_another_model_fail_that_job_alone(toy: Model) -> None:
    """A journal can be older than the model file."""
    with writing(toy) as writer:
        writer.submit(order(1, 10, produced=[5, NO_TOKEN, -7]), prompt(10))
        writer.submit(order(2, 10), prompt(10, 2))
        answers = writer.finish()

    assert answers[1].ended is not None
    assert answers[1].ended.finish is Finish.FAILED
    assert len(answers[2].tokens) == 10
    assert follow(toy, prompt(10, 2), answers[2].tokens)


def test_every_computed_step_is_measured_once_as_what_it_was(toy: Model) -> None:
    """Batches without room do not count, nor does the last token of a prompt as prefill."""
    budget = FixedBudget(32)
    with writing(toy, budget=budget) as writer:
        writer.submit(order(1, 3), prompt(65))
        writer.finish()
    assert budget.heard == [32, 32, 0, 0, 0]

    budget = FixedBudget(64)
    with writing(toy, cells=256, budget=budget) as writer:
        for job in range(2):
            writer.submit(order(job, 100), prompt(60, job))
        writer.finish()
    assert len(budget.heard) == writer.steps


def test_time_is_told_as_before_and_after_the_first_token(toy: Model) -> None:
    """In seconds of its steps; a preempted answer's second prefill counts as decoding."""
    with writing(toy, cells=512, budget=FixedBudget(64)) as writer:
        for job in range(4):
            writer.submit(order(job, 100), prompt(60, job))
        answers = writer.finish()

    took_s = writer.budget.took_s
    assert len(took_s) == writer.steps
    first = answers[0]
    assert first.ended is not None
    assert first.ended.prefill_s == pytest.approx(sum(took_s[: first.at[0] + 1]))
    assert first.ended.decode_s == pytest.approx(sum(took_s[first.at[0] + 1 : first.at[-1] + 1]))
    parked = answers[3]
    assert parked.ended is not None
    assert 0 < parked.ended.prefill_s <= sum(took_s[: parked.at[0] + 1]) * 1.000001
    written_s = sum(took_s[step] for step in parked.at[1:])
    assert written_s < parked.ended.decode_s < sum(took_s[parked.at[0] + 1 : parked.at[-1] + 1])


JOBS = st.tuples(
    st.integers(1, 150),  # prompt tokens
    st.integers(1, 60),  # answer tokens
    st.integers(0, 40),  # the step before which it comes
    st.one_of(st.none(), st.integers(0, 80)),  # the step before which it is cancelled
    st.booleans(),  # whether its last prompt token is none
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    jobs=st.lists(JOBS, min_size=1, max_size=7),
    sequences=st.integers(1, 5),
    grants=st.lists(st.integers(1, 8).map(lambda chunks: 32 * chunks), min_size=1, max_size=4),
    aborted=st.sets(st.integers(0, 60), max_size=8),
)
def test_whatever_happens_every_answer_is_whole_and_its_own(
    either_toy: Model,
    jobs: list[tuple[int, int, int, int | None, bool]],
    sequences: int,
    grants: list[int],
    aborted: set[int],
) -> None:
    """Jobs arrive, end, fail and are cancelled, steps are aborted, and 256 cells are too few.

    Every job ends exactly once; every token follows from those before it and from nothing else.
    """
    prompts = {job: prompt(tokens, job) for job, (tokens, *_rest) in enumerate(jobs)}
    for job, (*_rest, bad) in enumerate(jobs):
        if bad:
            prompts[job][-1] = NO_TOKEN
    with writing(either_toy, cells=256, sequences=sequences, budget=FixedBudget(*grants)) as writer:
        switch = AbortSwitch(writer.context)
        while writer.steps < 100 or writer.batcher.busy:
            for job, (_tokens, answer_tokens, comes, cancelled, _bad) in enumerate(jobs):
                if writer.steps == comes:
                    writer.submit(order(job, answer_tokens), prompts[job])
                if writer.steps == cancelled:
                    writer.batcher.cancel(job)
            switch.set(abort=writer.steps in aborted)
            writer.step()
            assert writer.steps < 2000
        answers = writer.finish()

    for job, (_tokens, answer_tokens, comes, cancelled, bad) in enumerate(jobs):
        answer = answers[job]
        assert answer.ended is not None
        assert answer.ended.completion_tokens == len(answer.tokens)
        if answer.ended.finish is Finish.CANCELLED:
            assert cancelled is not None
            assert cancelled >= comes
        elif bad:
            assert (answer.ended.finish, answer.tokens) == (Finish.FAILED, [])
        else:
            assert (answer.ended.finish, len(answer.tokens)) == (Finish.LENGTH, answer_tokens)
        if answer.tokens:
            assert follow(either_toy, prompts[job], answer.tokens)
            assert answer.whole == text_of(either_toy, answer.tokens)
