"""Valid tokens of an answer with a schema, before, during and after thinking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.structured.grammar_state import GrammarState
from tests.engine.worker.constraining import grammar_of, vocabulary_of
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS, write_toy_model

END = 2
INTEGER = {"type": "integer", "minimum": 0, "maximum": 99}
OBJECT = {
    "type": "object",
    "properties": {"a": INTEGER},
    "required": ["a"],
    "additionalProperties": False,
}


def spelled(text: str | bytes) -> list[int]:
    """In tokens of the toy model."""
    data = text.encode() if isinstance(text, str) else text
    return [FIRST_BYTE + byte for byte in data]


def allowed(grammar: GrammarState) -> bytes:
    """All valid next bytes; the end as 0xFF, which is never part of text."""
    return bytes(0xFF if token == END else token - FIRST_BYTE for token in grammar.allowed())


def test_a_token_is_taken_if_it_may_come(toy: Model) -> None:
    """Else nothing changes."""
    grammar = grammar_of(toy, OBJECT)
    for byte in b'{"a":':
        assert not grammar.take(FIRST_BYTE + ord("x"))
        assert not grammar.take(END)
        assert grammar.take(FIRST_BYTE + byte)
    assert grammar.take(FIRST_BYTE + ord("7"))
    assert not grammar.complete
    assert grammar.take(FIRST_BYTE + ord("}"))
    assert grammar.complete


@pytest.mark.parametrize(
    ("schema", "written", "next_bytes"),
    [
        (OBJECT, "", b"{"),
        (OBJECT, "{", b'\n "'),
        (OBJECT, '{"a":', b"\n 0123456789"),
        (OBJECT, '{"a":1', b"\n 0123456789}"),
        (OBJECT, '{"a":12', b"\n }"),
        (INTEGER, "", b"0123456789"),
        (INTEGER, "1", b"\xff0123456789"),
        ({"const": "\u00e9"}, '"', b"\xc3"),
        ({"const": "\u00e9"}, b'"\xc3', b"\xa9"),
        ({"enum": ["ab", "ac"]}, '"a', b"bc"),
    ],
)
def test_all_that_may_come_is_known(
    toy: Model, schema: Any, written: str | bytes, next_bytes: bytes
) -> None:
    """Including the end, where the JSON may be complete; exactly these are taken."""
    grammar = grammar_of(toy, schema)
    assert grammar.follow(spelled(written))

    assert allowed(grammar) == next_bytes
    may = set(grammar.allowed())
    for token in set(range(VOCAB_TOKENS)) - may:
        assert not grammar.take(token)
    assert allowed(grammar) == next_bytes


@pytest.mark.parametrize("written", ["5", "55", "0"])
def test_the_end_may_come_where_the_json_is_whole(toy: Model, written: str) -> None:
    """It changes nothing."""
    grammar = grammar_of(toy, INTEGER)
    assert not grammar.take(END)
    assert grammar.follow(spelled(written))
    assert grammar.take(END)


@pytest.mark.parametrize(("written", "complete"), [("5", False), ("0", True), ("55", True)])
def test_it_is_complete_where_nothing_can_follow(toy: Model, written: str, complete: bool) -> None:
    """The answer then ends without the model's end token."""
    grammar = grammar_of(toy, INTEGER)
    assert grammar.follow(spelled(written))
    assert grammar.complete == complete


@pytest.mark.parametrize("produced", ["x", '{"b"', '{"a":1}x', ' {"a"'])
def test_what_was_written_otherwise_cannot_be_followed(toy: Model, produced: str) -> None:
    """An engine with another grammar generated it."""
    assert not grammar_of(toy, OBJECT).follow(spelled(produced))


def test_thinking_is_free(toy: Model) -> None:
    """Any token except the end; the JSON begins after the tag."""
    grammar = grammar_of(toy, OBJECT, thinking=True)
    assert grammar.follow(spelled('Hm {"b": </thi, </ think>\n\xff'))
    assert not grammar.take(END)
    assert grammar.follow(spelled("</think>"))
    assert not grammar.take(FIRST_BYTE + ord("x"))
    assert allowed(grammar) == b"{"
    assert grammar.follow(spelled('{"a":5}'))
    assert grammar.complete


@pytest.mark.parametrize(
    ("thought", "goes_on"), [("", b"<"), ("hm", b"<"), ("hm<", b"/"), ("hm</think", b">")]
)
def test_thinking_is_ended_by_its_tag_alone(toy: Model, thought: str, goes_on: bytes) -> None:
    """A model that samples the end must close the tag first, and then answer."""
    grammar = grammar_of(toy, OBJECT, thinking=True)
    assert grammar.follow(spelled(thought))
    assert not grammar.take(END)
    assert allowed(grammar) == goes_on


def test_one_token_of_space_may_stand_after_the_tag(toy: Model) -> None:
    """Models generate a line break there, but could do so without end."""
    grammar = grammar_of(toy, OBJECT, thinking=True)
    assert grammar.follow(spelled("</think>\n"))
    assert not grammar.take(FIRST_BYTE + ord("\n"))
    assert grammar.take(FIRST_BYTE + ord("{"))


def test_without_thinking_there_is_no_space_before_the_answer(toy: Model) -> None:
    """It would be part of the answer."""
    assert not grammar_of(toy, OBJECT).take(FIRST_BYTE + ord("\n"))


def of_piece(model: Model, piece: bytes) -> int:
    """The token of exactly that text."""
    return next(token for token in range(model.vocab_tokens) if model.piece(token) == piece)


def test_a_tag_may_end_within_a_token_that_goes_on(starter: Model) -> None:
    """Its rest must begin the answer validly; else nothing changes."""
    grammar = grammar_of(starter, {"const": "a"}, thinking=True)
    assert grammar.follow(vocabulary_of(starter).tokens_of(b"hm</think"))
    for piece in (b'>",', b"></", b">>"):
        assert not grammar.take(of_piece(starter, piece))
    assert [starter.piece(token) for token in grammar.allowed()] == [b">"]
    assert grammar.take(of_piece(starter, b'>"'))
    assert not grammar.take(of_piece(starter, b"\n"))
    assert grammar.take(of_piece(starter, b"a"))
    assert grammar.take(of_piece(starter, b'"'))
    assert grammar.complete


def test_a_model_may_begin_to_think_by_itself(thinker: Model) -> None:
    """If its tag is one token and the first; then all is as if the prompt had begun it."""
    opens, closes = (of_piece(thinker, tag) for tag in (b"<think>", b"</think>"))
    grammar = grammar_of(thinker, OBJECT)
    assert grammar.take(opens)
    assert not grammar.take(END)
    assert list(grammar.allowed()) == [closes]
    assert grammar.follow([*spelled("hm"), opens, closes, *spelled("\n{")])
    assert not grammar.take(opens)

    after_space = grammar_of(thinker, OBJECT)
    assert after_space.take(FIRST_BYTE + ord("{"))
    assert not after_space.take(opens)


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The toy model, with tokens for the tags as models that think have them."""
    path = tmp_path_factory.mktemp("toy") / "thinker.gguf"
    write_toy_model(path, more_tokens=("<think>", "</think>"))
    model = Model(str(path), lambda _fraction: True)
    yield model
    model.close()
