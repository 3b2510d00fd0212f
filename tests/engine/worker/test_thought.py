"""Thinking ends at its tag, wherever tokens begin and end."""

from __future__ import annotations

import pytest

from inglenook.engine.worker.thought import CLOSE, Thought


def after(*pieces: bytes) -> bytes | None:
    """What follows the tag once all pieces have come; the tag may end with the last only."""
    thought = Thought()
    *earlier, last = pieces
    for piece in earlier:
        assert thought.after(piece) is None
        thought.add(piece)
    return thought.after(last)


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ((b"</think>",), b""),
        ((b"hm", b"</think>\n\n"), b""),
        ((b"hm</", b"thi", b"nk>"), b""),
        ((b"<", b"/", b"t", b"h", b"i", b"n", b"k", b">"), b""),
        ((b"</think", b'>\n{"a'), b'{"a'),
        ((b"</think", b"></think>"), b"</think>"),
        ((b"</</think", b">"), b""),
        ((b"\xf0\x9f", b"\x94\xa5</think>"), b""),
        ((b"a" * 1000, b"</think", b">"), b""),
        ((b"hm",), None),
        ((b"</think",), None),
        ((b"</think ", b">"), None),
        ((b"<think>",), None),
        ((b"",), None),
    ],
)
def test_what_follows_the_tag_is_the_answer(
    pieces: tuple[bytes, ...], answer: bytes | None
) -> None:
    """Without the white space next to it; and nothing does before it is whole."""
    assert after(*pieces) == answer


@pytest.mark.parametrize(
    ("thought", "missing"),
    [
        (b"", CLOSE),
        (b"hm", CLOSE),
        (b"hm<", b"/think>"),
        (b"hm</thin", b"k>"),
        (b"hm</thi ", CLOSE),
        (b"a<b", CLOSE),
        (b"<</", b"think>"),
    ],
)
def test_a_tag_begun_is_to_be_ended(thought: bytes, missing: bytes) -> None:
    """What of it there is is not written twice."""
    thinking = Thought()
    thinking.add(thought)

    assert thinking.missing == missing
    assert thinking.after(thinking.missing) == b""


def test_looking_changes_nothing() -> None:
    """A token that is looked at may not come."""
    thought = Thought()
    assert thought.after(b"</think>") == b""
    assert thought.after(b"hm") is None
    assert thought.missing == CLOSE
