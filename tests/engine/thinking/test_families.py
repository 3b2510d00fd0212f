"""Output of many families is parsed, with any tags as tokens, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from inglenook.engine.orders import Thinking
from inglenook.engine.thinking.channels import ChannelParser
from inglenook.engine.thinking.find import find_form
from inglenook.engine.thinking.forms import Tags
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.thinking.signs import Signs, SpecialToken
from inglenook.engine.thinking.switch import template_variables
from inglenook.engine.thinking.tags import TagParser
from tests.engine.thinking.families import ANSWER, FAMILIES, THOUGHT, Family
from tests.parts.vocabularies import vocabulary_folder

#: What a family's tags are in the vocabulary.
KINDS = ("control", "defined", "text")

CASES = [
    pytest.param(family, kind, id=f"{family.name}-{kind}")
    for family in FAMILIES
    for kind in KINDS
    if kind != "text" or not family.by_tokens
]

ON = Thinking("on")
OFF = Thinking("off")


def template_of(family: Family) -> str:
    """Its chat template."""
    if "{" in family.template:
        return family.template
    return (vocabulary_folder() / "templates" / f"{family.template}.jinja").read_text()


class Told:
    """A family's parser where its prompt ends, and how to write in its signs."""

    def __init__(self, family: Family, kind: str, thinking: Thinking) -> None:
        template = template_of(family)
        tokens = () if kind == "text" else family.tokens
        special = [SpecialToken(text, kind == "control", 9 + at) for at, text in enumerate(tokens)]
        form = find_form(family.architecture, template, set(tokens))
        self.signs = Signs(form.texts, special)
        self._form = form.mapped(self.signs.encode)
        formatter = Jinja2ChatFormatter(template=template, bos_token="", eos_token="<eos>")
        conversation = [{"role": "user", "content": "Which city?"}]
        asked = template_variables(template, thinking)
        self.prompt = self.signs.encode(formatter(messages=conversation, **asked).prompt)

    def parser(self) -> Parser:
        if isinstance(self._form, Tags):
            return TagParser(self._form, self.signs, self.prompt)
        return ChannelParser(self._form, self.signs, self.prompt)


@cache
def asked(family: Family, kind: str) -> Told:
    """Asked to think, where it does not by itself."""
    return Told(family, kind, ON if family.on else Thinking())


def told(parser: Parser, pieces: Iterable[str]) -> tuple[str, str]:
    """Thought and answer."""
    parts = [part for piece in pieces for part in parser.push(piece)] + parser.finish()
    assert all(part.text for part in parts)
    thought = "".join(part.text for part in parts if part.thought)
    return thought, "".join(part.text for part in parts if not part.thought)


def cut(text: str, places: Sequence[int]) -> Iterator[str]:
    """A text in pieces."""
    start = 0
    for place in sorted(places):
        yield text[start:place]
        start = max(start, place)
    yield text[start:]


def thinks(family: Family) -> bool:
    return THOUGHT in family.said


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_thought_and_answer_are_told_apart_at_every_cut(family: Family, kind: str) -> None:
    """Nothing of a tag is in either, and nothing of either is lost."""
    it = asked(family, kind)
    said = it.signs.encode(family.said)
    expected = (THOUGHT if thinks(family) else "", ANSWER)

    assert told(it.parser(), [said]) == expected
    assert told(it.parser(), said) == expected
    for first in range(len(said)):
        assert told(it.parser(), cut(said, [first])) == expected
        assert told(it.parser(), cut(said, [first, first + 3])) == expected


@pytest.mark.parametrize(("family", "kind"), CASES)
@given(places=st.lists(st.integers(0, 250), max_size=30))
@settings(max_examples=25)
def test_pieces_of_any_length_are_told_apart(family: Family, kind: str, places: list[int]) -> None:
    """Tokens are cut as they like."""
    it = asked(family, kind)
    said = it.signs.encode(family.said)

    assert told(it.parser(), cut(said, places)) == (THOUGHT if thinks(family) else "", ANSWER)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_the_thought_ends_where_it_is_closed(family: Family, kind: str) -> None:
    """Wherever it is cut off: the missing text is known, and the answer follows it."""
    it = asked(family, kind)
    said = it.signs.encode(family.said)
    wrapped = told(it.parser(), said)[0]
    for place in range(len(said)):
        parser = it.parser()
        parts = parser.push(said[:place])
        if not parser.thinking:
            continue
        parts += parser.push(parser.closing)
        assert not parser.thinking
        assert not parser.closing
        parts += [*parser.push("Well."), *parser.finish()]
        answer = "".join(part.text for part in parts if not part.thought)
        thought = "".join(part.text for part in parts if part.thought)
        assert answer == "Well.", (place, said[:place])
        assert wrapped.startswith(thought.rstrip())


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_thinking_off_leaves_only_the_answer(family: Family, kind: str) -> None:
    """As far as the template knows of it; where it does not, the thought is closed at once."""
    it = Told(family, kind, OFF)
    parser = it.parser()
    never = family.off == "never" and thinks(family)

    if family.off == "closed":
        assert it.prompt != Told(family, kind, ON).prompt
    if never and parser.thinking:
        parser.push(parser.closing)
    assert told(parser, it.signs.encode(family.unthought)) == ("", ANSWER)
    assert never == (it.prompt == Told(family, kind, ON).prompt) or not thinks(family)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_thought_that_is_not_closed_stays_one(family: Family) -> None:
    """An answer that is cut short while it thinks has no answer."""
    it = asked(family, "control")
    if not thinks(family):
        return
    said = it.signs.encode(family.said)
    end = said.index(THOUGHT) + len(THOUGHT)

    assert told(it.parser(), said[:end]) == (THOUGHT, "")
