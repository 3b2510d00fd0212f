"""Answers follow their schema, whatever the model would sample without it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from inglenook.engine.events import Finish
from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.prompt import PromptMaker
from inglenook.engine.worker.structured.constrained import ConstrainedSampler
from tests.engine.worker.constraining import SCHEMAS, grammar_of, keeps_to, submit
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS
from tests.engine.worker.writing import (
    Answer,
    FixedBudget,
    Writer,
    alone,
    order,
    parser_of,
    sampling,
    text_of,
    writing,
)

QUESTION = "Describe something as JSON."


def prompt(seed: int, tokens: int = 20) -> list[int]:
    """A prompt."""
    rng = random.Random(seed)
    return [rng.randrange(FIRST_BYTE, VOCAB_TOKENS) for _ in range(tokens)]


def finish_all(writer: Writer, schema: Any) -> None:
    """Each answer follows its schema, and its tokens are those of its text."""
    for answer in writer.finish().values():
        assert answer.ended is not None
        assert answer.ended.finish is Finish.STOP
        assert keeps_to(answer.whole, schema), answer.whole
        assert text_of(writer.batcher._model, answer.tokens) == answer.whole


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("speculate", [False, True], ids=["plain", "guessing"])
def test_a_model_that_chooses_at_random_keeps_to_it(
    toy: Model, schema: dict[str, Any], speculate: bool
) -> None:
    """One byte at a time and eight at once; drafts, which all pay here, are checked as well."""
    with writing(toy, sequences=8, cells=4096, speculate=speculate) as writer:
        for job in range(16):
            submit(writer, job, schema, prompt(job))
        finish_all(writer, schema)


def test_without_it_would_not(toy: Model) -> None:
    """Its output without a schema is noise."""
    how = sampling(temperature=1.0, seed=1)
    text = alone(toy, order(1, 60, how=how), prompt(1)).whole
    assert not any(keeps_to(text, schema) for schema in SCHEMAS.values())


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_model_that_can_write_keeps_to_it(starter: Model, schema: dict[str, Any]) -> None:
    """Many seeds, at temperature 1; most tokens without a mask."""
    maker = PromptMaker(starter, "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n"
                                 "<|im_start|>assistant\n")  # fmt: skip
    tokens, _thinking = maker.tokens([ChatMessage("user", QUESTION)])
    with writing(starter, budget=FixedBudget(512)) as writer:
        for job in range(4):
            submit(writer, job, schema, tokens)
        finish_all(writer, schema)


@pytest.mark.parametrize("name", ["nested", "list", "string"])
def test_an_answer_goes_on_after_another_engines_death(toy: Model, name: str) -> None:
    """Wherever it was cut, also within a character; the text is sent again from the start."""
    schema = SCHEMAS[name]
    with writing(toy) as writer:
        submit(writer, 1, schema, prompt(1))
        whole = writer.finish()[1]
    with writing(toy, cells=4096) as writer:
        for cut in range(0, len(whole.tokens), len(whole.tokens) // 15 + 1):
            submit(writer, cut, schema, prompt(1), produced=whole.tokens[:cut])
        answers = writer.finish()
    for cut, answer in answers.items():
        assert answer.ended is not None
        assert answer.ended.finish is Finish.STOP
        assert keeps_to(answer.whole, schema)
        kept = text_of(toy, whole.tokens[:cut]).rstrip("\ufffd")
        assert answer.whole.startswith(kept)


def test_an_answer_that_was_whole_when_its_engine_died_is_over(toy: Model) -> None:
    """No token is added."""
    with writing(toy) as writer:
        submit(writer, 1, {"const": 5}, prompt(1), produced=[FIRST_BYTE + ord("5")])
        answer = writer.finish()[1]
    assert answer.ended is not None
    assert (answer.ended.finish, answer.whole, answer.tokens) == (Finish.STOP, "5", [])


def test_what_another_engine_wrote_otherwise_has_failed(toy: Model) -> None:
    """It must not continue as if it were valid."""
    with writing(toy) as writer:
        submit(writer, 1, {"const": 5}, prompt(1), produced=[FIRST_BYTE + ord("6")])
        answer = writer.finish()[1]
    assert answer.ended is not None
    assert answer.ended.finish is Finish.FAILED


@pytest.mark.parametrize("max_tokens", [1, 2, 7])
def test_it_is_cut_short_as_ever(toy: Model, max_tokens: int) -> None:
    """At that number of tokens, and it is a prefix of the full answer."""
    with writing(toy) as writer:
        submit(writer, 1, SCHEMAS["nested"], prompt(1))
        whole = writer.finish()[1].whole
    with writing(toy) as writer:
        submit(writer, 1, SCHEMAS["nested"], prompt(1), max_tokens=max_tokens)
        answer = writer.finish()[1]
    assert answer.ended is not None
    assert answer.ended.finish is Finish.LENGTH
    assert len(answer.tokens) == max_tokens
    assert whole.startswith(answer.whole)


def test_its_last_token_may_be_the_last_there_is_room_for(toy: Model) -> None:
    """A complete answer has stopped, not reached a length."""
    with writing(toy) as writer:
        submit(writer, 1, {"const": "ab"}, prompt(1), max_tokens=4)
        answer = writer.finish()[1]
    assert answer.ended is not None
    assert (answer.whole, answer.ended.finish) == ('"ab"', Finish.STOP)


@pytest.mark.parametrize("job", range(5))
def test_the_json_begins_where_thinking_ends(toy: Model, job: int) -> None:
    """The model tries to end within thinking of noise; it must close its tag and answer."""
    thought = [FIRST_BYTE + byte for byte in b'Hm: {"b"} </think>']
    with writing(toy) as writer:
        submit(writer, job, SCHEMAS["list"], prompt(job), produced=thought, thinking=True)
        answer = writer.finish()[job]
    assert answer.thinking == 'Hm: {"b"}'
    assert keeps_to(answer.whole, SCHEMAS["list"])


def test_thinking_does_not_end_with_the_model(toy: Model) -> None:
    """Each time it samples the end, one byte of the tag is generated instead."""
    with writing(toy, sequences=8, cells=8192) as writer:
        for job in range(8):
            submit(writer, job, {"const": 1}, prompt(job), max_tokens=400, thinking=True)
        samplers = [
            seq.answer.sampler for seq in writer.batcher._scheduler if seq.answer is not None
        ]
        answers = writer.finish()
    for answer in answers.values():
        assert answer.ended is not None
        assert answer.ended.finish is Finish.LENGTH
        assert len(answer.tokens) == 400
    # Were all tokens as likely, it would have been one in 259 of 3,200.
    resampled = [each.resampled for each in samplers if isinstance(each, ConstrainedSampler)]
    assert len(resampled) == 8
    assert sum(resampled) > 0


@pytest.mark.slow
def test_what_the_model_says_by_itself_stands_if_it_may(starter: Model) -> None:
    """The same tokens as without a schema, by the same seed, as far as they are valid."""
    maker = PromptMaker(starter, "{{ messages[0].content }}")
    tokens, _thinking = maker.tokens([ChatMessage("user", 'My name as JSON: {"name": "')])
    quote = starter.tokenize('"')
    same = 0
    for seed in range(6):
        how = sampling(temperature=1.0, seed=seed, top_k=40, presence_penalty=0.5)
        free = alone(starter, order(1, 8, how=how), tokens)
        good = [not set(starter.piece(token)) & set(b'"\\\n') for token in free.tokens]
        until = [*good, False].index(False)
        with writing(starter, sequences=1, budget=FixedBudget(512)) as writer:
            grammar = grammar_of(starter, {"type": "string"})
            assert grammar.follow(quote)
            start = order(1, 8, how=how, ignore_eos=False)
            parser = parser_of(writer.batcher._thoughts)
            assert writer.batcher.submit(start, list(tokens), parser, grammar=grammar)
            writer.answers[1] = Answer()
            written = writer.finish()[1].tokens
        assert written[:until] == free.tokens[:until]
        same += until
    assert same > 6


@pytest.mark.slow
def test_most_tokens_are_right_without_being_told(starter: Model) -> None:
    """Where a model can generate JSON, fewer than half are sampled again."""
    with writing(starter, sequences=1, budget=FixedBudget(512)) as writer:
        tokens = starter.tokenize("Three primes as a JSON list: [2, 3, 5]\nFour more: ")
        integers = {"type": "array", "items": {"type": "integer"}}
        submit(writer, 1, integers, tokens, temperature=0.0, max_tokens=40)
        (sequence,) = writer.batcher._scheduler
        assert sequence.answer is not None
        sampler = sequence.answer.sampler
        assert isinstance(sampler, ConstrainedSampler)
        answer = writer.finish()[1]
    assert len(answer.tokens) > 4
    assert sampler.resampled < len(answer.tokens) / 2


def test_a_grammar_that_is_too_much_ends_its_answer_and_no_other(toy: Model) -> None:
    """It fails; other answers continue."""
    wide = {"type": "object", "properties": {f"p{number}": {} for number in range(550)}}
    with writing(toy) as writer:
        submit(writer, 1, wide, prompt(1))
        submit(writer, 2, SCHEMAS["list"], prompt(2))
        answers = writer.finish()
    first, second = answers[1].ended, answers[2].ended
    assert first is not None
    assert second is not None
    assert (first.finish, second.finish) == (Finish.FAILED, Finish.STOP)
