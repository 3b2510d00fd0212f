"""Answers that repeat themselves without end are ended, and no others."""

from __future__ import annotations

import pytest

from inglenook.engine.events import Finish, JobStarted
from inglenook.engine.worker.decode.repetition import RULE, RepetitionDetector
from inglenook.engine.worker.llama import Model
from tests.engine.worker.constraining import grammar_of
from tests.engine.worker.writing import Answer, alone, order, parser_of, sampling, writing

#: What was said often is the likelier to be said again: any model is in a loop before long.
LOOPING = sampling(frequency_penalty=-2.0)

PROMPT = list(range(10, 40))

_MAX_TOKENS = 1500


def test_a_runaway_answer_ends_by_itself(either_toy: Model) -> None:
    """At the token with which the rule holds; without the rule it continues to its limit."""
    free = alone(either_toy, order(1, 900, how=LOOPING), PROMPT)
    with writing(either_toy, cells=2048) as writer:
        writer.submit(order(1, 900, how=LOOPING, repetition_detection=True), PROMPT)
        ended = writer.finish()[1]

    detector = RepetitionDetector()
    expected = next(n for n, token in enumerate(free.tokens, 1) if detector.add(token))
    assert ended.ended is not None
    assert ended.ended.finish is Finish.REPETITION
    assert ended.ended.completion_tokens == len(ended.tokens) == expected
    assert RULE.exact_tokens <= expected < 900
    assert free.ended is not None
    assert free.ended.finish is Finish.LENGTH


@pytest.mark.parametrize("produced", [1, 100, 511])
def test_what_another_engine_wrote_counts(toy: Model, produced: int) -> None:
    """A resumed answer ends where it would have ended."""
    with writing(toy, cells=2048) as writer:
        first = order(1, _MAX_TOKENS, how=LOOPING, repetition_detection=True)
        writer.submit(first, PROMPT)
        whole = writer.finish()[1]
        again = order(
            2,
            _MAX_TOKENS,
            how=LOOPING,
            produced=whole.tokens[:produced],
            repetition_detection=True,
        )
        assert isinstance(writer.submit(again, PROMPT), JobStarted)
        second = writer.finish()[2]

    assert second.ended is not None
    assert second.ended.finish is Finish.REPETITION
    assert second.ended.completion_tokens == len(whole.tokens)


def test_an_answer_that_was_a_runaway_before_ends_at_once(toy: Model) -> None:
    """An engine of another release may not have ended it."""
    with writing(toy, cells=2048) as writer:
        start = order(
            1, _MAX_TOKENS, how=LOOPING, produced=[50, 51] * 300, repetition_detection=True
        )
        writer.submit(start, PROMPT)
        answer = writer.finish()[1]

    assert answer.ended is not None
    assert answer.ended.finish is Finish.REPETITION
    assert answer.tokens == []


def test_others_go_on(toy: Model) -> None:
    """Beside a runaway, a varied answer continues to its own end."""
    varied = sampling(temperature=2.0, seed=3)
    with writing(toy, cells=4096) as writer:
        writer.submit(order(1, _MAX_TOKENS, how=LOOPING, repetition_detection=True), PROMPT)
        writer.submit(order(2, _MAX_TOKENS, how=varied, repetition_detection=True), PROMPT[:20])
        answers = writer.finish()

    ends = [answer.ended.finish for answer in answers.values() if answer.ended is not None]
    assert ends == [Finish.REPETITION, Finish.LENGTH]
    assert len(answers[2].tokens) == _MAX_TOKENS


def test_guesses_that_are_right_do_not_hide_a_runaway(toy: Model) -> None:
    """With drafts one step gives several tokens; none of them follows the end."""
    with writing(toy, cells=2048, speculate=True) as writer:
        writer.submit(order(1, _MAX_TOKENS, how=LOOPING, repetition_detection=True), PROMPT)
        answer = writer.finish()[1]

    assert answer.ended is not None
    assert answer.ended.finish is Finish.REPETITION
    assert answer.ended.completion_tokens == len(answer.tokens)
    detector = RepetitionDetector()
    assert [detector.add(token) for token in answer.tokens].index(True) == len(answer.tokens) - 1


@pytest.mark.parametrize("thinking", [False, True])
def test_an_answer_with_a_schema_or_its_thoughts_may_be_a_runaway_too(
    toy: Model, thinking: bool
) -> None:
    """An endless list; and thinking, which no grammar constrains."""
    endless = {"type": "array", "items": {"const": 0}, "minItems": 1000}
    with writing(toy, cells=2048) as writer:
        start = order(1, _MAX_TOKENS, how=LOOPING, ignore_eos=False, repetition_detection=True)
        grammar = grammar_of(toy, endless, thinking=thinking)
        parser = parser_of(writer.batcher._thoughts, thinking=thinking)
        writer.batcher.submit(start, PROMPT, parser, grammar=grammar)
        writer.answers[1] = Answer()
        answer = writer.finish()[1]

    assert answer.ended is not None
    assert answer.ended.finish is Finish.REPETITION
    assert answer.ended.completion_tokens < 700
