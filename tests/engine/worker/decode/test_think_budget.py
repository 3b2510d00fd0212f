"""The thinking budget: thinking ends after its tokens, in any form, and does not begin if off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.events import JobStarted, StepDone
from inglenook.engine.orders import ChatMessage, Thinking
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.prompt import Prompt, PromptMaker
from inglenook.engine.worker.structured.grammar import compile_schema
from inglenook.engine.worker.structured.grammar_state import GrammarState
from tests.engine.worker.constraining import vocabulary_of
from tests.engine.worker.toy import write_toy_model
from tests.engine.worker.writing import Answer, order, sampling, writing

QUESTION = [ChatMessage("user", "Why?")]

#: By family: a template in our own words, its tokens, and how a thought is ended.
FORMS = {
    "think": ("{{ messages[-1].content }}<think>", ("<think>", "</think>"), ["</think>"]),
    "text": ("{{ messages[-1].content }}{#</thought>#}<thought>", (), ["</thought>"]),
    "cohere": (
        "{{ messages[-1].content }}<|START_THINKING|>{#<|END_THINKING|>#}",
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ["<|END_THINKING|>"],
    ),
    "harmony": (
        "{{ messages[-1].content }}<|start|>assistant{#<|channel|><|message|>#}",
        ("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
        ["<|channel|>", "final", "<|message|>"],
    ),
}


class Room:
    """A toy model with the tags of a form as tokens; its output is noise."""

    def __init__(self, form: str, path: Path) -> None:
        template, tokens, closing = FORMS[form]
        write_toy_model(path, more_tokens=tokens)
        self.model = Model(str(path), lambda _fraction: True)
        self.prompts = PromptMaker(self.model, template)
        self.closing = [
            token for text in closing for token in self.model.tokenize(text, continued=True)
        ]

    def prompt(self) -> Prompt:
        return self.prompts.prompt(QUESTION)


@pytest.fixture(scope="module", params=FORMS)
def room(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Room]:
    room = Room(request.param, tmp_path_factory.mktemp("closing") / "toy.gguf")
    yield room
    room.model.close()


def write(
    room: Room,
    thinking: Thinking,
    *,
    produced: tuple[int, ...] = (),
    tokens: int = 60,
    seed: int = 0,
) -> Answer:
    """One answer, through the real batcher."""
    prompt = room.prompt()
    assert prompt.parser is not None
    how = sampling(temperature=2.0, seed=seed)
    start = order(1, 60, how=how, produced=produced)
    start = msgspec.structs.replace(start, thinking=thinking)
    with writing(room.model, thoughts=room.prompts.template.thoughts) as writer:
        started, *more = writer.batcher.submit(start, prompt.tokens, prompt.parser)
        assert isinstance(started, JobStarted)
        writer.answers[1] = Answer()
        for event in more:
            assert isinstance(event, StepDone)
            writer.answers[1].take(event.outputs[0])
        return writer.finish()[1]


def test_off_ends_the_thought_before_it_begins(room: Room) -> None:
    """Also if the template opens it and has no option."""
    answer = write(room, Thinking("off"))
    assert answer.tokens[: len(room.closing)] == room.closing
    assert answer.thinking == ""
    assert answer.whole.strip()


@pytest.mark.parametrize("budget", [1, 7, 20])
def test_a_budget_ends_the_thought_after_so_many_tokens(room: Room, budget: int) -> None:
    """Unless the model ends it earlier; then the answer begins."""
    answer = write(room, Thinking(budget_tokens=budget))
    parser = room.prompt().parser
    assert parser is not None
    thoughts = room.prompts.template.thoughts
    thought = 0
    for token in answer.tokens:
        parser.push(thoughts.spell(token))
        thought += parser.thinking
    # What closes it may be several tokens.
    assert thought <= budget + len(room.closing) + 12
    assert not parser.thinking


@pytest.mark.parametrize("seed", range(3))
def test_up_to_the_bound_the_model_writes_what_it_likes(room: Room, seed: int) -> None:
    """The tokens are as without a bound."""
    free = write(room, Thinking("on"), seed=seed)
    bounded = write(room, Thinking(budget_tokens=20), seed=seed)
    assert bounded.tokens[:20] == free.tokens[:20]
    assert bounded.whole


@pytest.mark.parametrize("at", range(1, 16, 2))
def test_after_an_engines_death_it_is_closed_where_it_was(room: Room, at: int) -> None:
    """Only by the generated tokens, including a partly written tag."""
    whole = write(room, Thinking(budget_tokens=5)).tokens
    again = write(room, Thinking(budget_tokens=5), produced=tuple(whole[:at]), seed=9)
    parser = room.prompt().parser
    assert parser is not None
    for token in [*whole[:at], *again.tokens]:
        parser.push(room.prompts.template.thoughts.spell(token))
    assert not parser.thinking
    assert again.whole


@pytest.mark.parametrize("thinking", [Thinking("off"), Thinking(budget_tokens=9)])
def test_the_json_of_an_answer_begins_where_its_thought_was_closed(
    room: Room, thinking: Thinking
) -> None:
    """The grammar's state takes the closing tag that the budget adds."""
    prompt = room.prompt()
    assert prompt.parser is not None
    thoughts = room.prompts.template.thoughts
    vocabulary = vocabulary_of(room.model)
    matcher = compile_schema(vocabulary.tokenizer, '{"enum": ["red", "blue"]}')
    grammar = GrammarState(room.model, vocabulary, matcher, thoughts, prompt.parser.copy())
    start = order(1, 400, how=sampling(temperature=1.0), ignore_eos=False)
    start = msgspec.structs.replace(start, thinking=thinking)
    with writing(room.model, thoughts=thoughts) as writer:
        writer.batcher.submit(start, prompt.tokens, prompt.parser, grammar=grammar)
        writer.answers[1] = Answer()
        answer = writer.finish()[1]
    assert answer.whole in ('"red"', '"blue"')
    if thinking.mode == "off":
        assert answer.thinking == ""
