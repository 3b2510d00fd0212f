"""A cursor gives each event of a response once, in order, whichever door reads."""

from __future__ import annotations

import pytest

from inglenook.chat.thinking import Channel
from inglenook.serving.cursor import Begun, ResponseCursor
from inglenook.serving.response import Response
from inglenook.serving.response_parts import (
    Change,
    Ending,
    Outcome,
    QueuePosition,
    Status,
    TextPiece,
    WaitReason,
)

WHOLE = 1000
FIRST, NEXT = (QueuePosition(n, 1.0, WaitReason.BUSY) for n in (2, 1))
DONE = Outcome("stop", 3, 2)


def opened() -> Response:
    response = Response("r_1", "ada", "tiny", now=0.0)
    response.open()
    return response


def grow(response: Response, *texts: str, begins: bool = False, ends: bool = False) -> None:
    """Add pieces of the answer, as one change."""
    pieces, seq, offset = [], response.next_seq, response.length(Channel.ANSWER)
    for text in texts:
        pieces.append(TextPiece(seq, Channel.ANSWER, offset, text))
        seq, offset = seq + 1, offset + len(text)
    ending = Ending(seq, Status.COMPLETED, DONE) if ends else None
    response.apply(Change("r_1", begins, tuple(pieces), (), ending), now=1.0)


def test_each_event_comes_once_and_in_order() -> None:
    """A place as often as it changes; the beginning, text and the outcome once."""
    response = opened()
    response.adjustments = ("system_folded",)
    cursor = ResponseCursor(response)
    assert cursor.take(WHOLE) == []
    response.wait_at(FIRST)
    assert [cursor.take(WHOLE), cursor.take(WHOLE)] == [[FIRST], []]
    response.wait_at(NEXT)
    assert cursor.take(WHOLE) == [NEXT]
    grow(response, "Hel", "lo", begins=True)
    assert cursor.take(WHOLE) == [
        Begun("tiny", ("system_folded",)),
        TextPiece(2, Channel.ANSWER, 0, "Hello"),
    ]
    grow(response, "!", ends=True)
    assert not cursor.over
    assert cursor.take(WHOLE) == [TextPiece(3, Channel.ANSWER, 5, "!"), DONE]
    assert cursor.over
    assert cursor.take(WHOLE) == []


def test_a_piece_is_no_larger_than_the_door_takes() -> None:
    """And none is lost between them."""
    response = opened()
    cursor = ResponseCursor(response)
    grow(response, "abc", "de", "f", begins=True)
    _begun, *pieces = cursor.take(3)
    assert [piece.text for piece in pieces if isinstance(piece, TextPiece)] == ["abc", "def"]


@pytest.mark.parametrize(
    ("after", "events"),
    [(0, [TextPiece(2, Channel.ANSWER, 0, "ab"), DONE]), (2, [DONE]), (3, [])],
)
def test_a_resumed_reader_goes_on_where_it_was(after: int, events: list[object]) -> None:
    """Without a second beginning, and without a second end."""
    response = opened()
    grow(response, "a", "b", begins=True, ends=True)
    cursor = ResponseCursor(response, after=after, resumed=True)
    assert cursor.over is (not events)
    assert cursor.take(WHOLE) == events


def test_two_readers_do_not_disturb_each_other() -> None:
    """Each has a place of its own."""
    response = opened()
    fast, slow = ResponseCursor(response), ResponseCursor(response)
    grow(response, "a", begins=True)
    first = fast.take(WHOLE)
    grow(response, "b", ends=True)

    assert [*first, *fast.take(WHOLE)][1:] == [
        TextPiece(1, Channel.ANSWER, 0, "a"),
        TextPiece(2, Channel.ANSWER, 1, "b"),
        DONE,
    ]
    assert slow.take(WHOLE)[1:] == [TextPiece(2, Channel.ANSWER, 0, "ab"), DONE]


def test_nothing_is_given_of_a_response_that_is_not_opened() -> None:
    """It could still be lost without a trace."""
    response = Response("r_1", "ada", "tiny", now=0.0)
    response.wait_at(FIRST)
    cursor = ResponseCursor(response)
    assert cursor.take(WHOLE) == []
    response.open()
    assert cursor.take(WHOLE) == [FIRST]
