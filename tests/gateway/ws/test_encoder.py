"""A cursor into a response tells its connection everything once, in order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.gateway.ws.encoder import ResponseReader
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

Message = dict[str, Any]


class Growing:
    """A response of which the test says what happens."""

    def __init__(self) -> None:
        self.response = Response("r_1", "ada", "model", now=0.0)
        self.response.open()

    def wait(self, position: int) -> None:
        self.response.wait_at(QueuePosition(position, 1.5 * position, WaitReason.BUSY))

    def begin(self) -> None:
        self._apply(begins=True)

    def add(self, text: str, channel: Channel = Channel.ANSWER) -> None:
        offset = self.response.length(channel)
        self._apply(piece=TextPiece(self.response.next_seq, channel, offset, text))

    def end(self, status: Status = Status.COMPLETED, problem: Problem | None = None) -> None:
        outcome = Outcome("stop", 3, 2, 1, 0.1, 0.2, 30.0, 8.0, problem)
        self._apply(ending=Ending(self.response.next_seq, status, outcome))

    def _apply(
        self, *, begins: bool = False, piece: TextPiece | None = None, ending: Ending | None = None
    ) -> None:
        pieces = () if piece is None else (piece,)
        self.response.apply(Change("r_1", begins, pieces, (), ending), now=1.0)


def told(reading: ResponseReader) -> list[Message]:
    messages: list[Message] = msgspec.to_builtins(reading.take())
    return messages


def kinds(messages: list[Message]) -> list[str]:
    return [message["type"].removeprefix("response.") for message in messages]


def asked(growing: Growing) -> ResponseReader:
    return ResponseReader(growing.response, request_id="c1", after=0)


def test_a_whole_life_is_told_in_order() -> None:
    """Queued as often as its place changes, created once, text, the end once."""
    growing = Growing()
    reading = asked(growing)
    assert told(reading) == []
    growing.wait(2)
    assert kinds(told(reading)) == ["queued"]
    growing.wait(2)
    assert told(reading) == []
    growing.wait(1)
    assert kinds(told(reading)) == ["queued"]
    growing.begin()
    assert kinds(told(reading)) == ["created"]
    growing.add("Hel")
    assert kinds(told(reading)) == ["delta"]
    growing.add("lo")
    growing.end()
    assert kinds(told(reading)) == ["delta", "done"]
    assert told(reading) == []
    assert reading.over


def test_a_slow_reader_gets_one_large_frame_for_many_small_ones() -> None:
    """With the number of the last, and the place of the first."""
    growing = Growing()
    reading = asked(growing)
    growing.wait(1)
    growing.begin()
    for text in ("a", "é", "😀"):
        growing.add(text)
    growing.end()

    created, delta, done = told(reading)

    assert created["id"] == "c1"
    assert (delta["seq"], delta["offset"], delta["text"]) == (3, 0, "aé😀")
    assert done["seq"] == 4


def test_channels_are_told_apart() -> None:
    """Each counts its own offset."""
    growing = Growing()
    reading = asked(growing)
    growing.begin()
    growing.add("Hm", Channel.THINKING)
    growing.add("A")
    growing.add("!", Channel.THINKING)

    deltas = told(reading)[1:]

    assert [(d["channel"], d["offset"], d["text"]) for d in deltas] == [
        ("thinking", 0, "Hm"),
        ("answer", 0, "A"),
        ("thinking", 2, "!"),
    ]


def test_what_was_done_to_a_conversation_is_told_with_its_beginning() -> None:
    """Nothing, nearly always."""
    for adjustments in ((), ("system_folded", "messages_merged")):
        growing = Growing()
        growing.response.adjustments = adjustments
        reading = asked(growing)
        growing.begin()
        [created] = told(reading)
        assert created["adjustments"] == adjustments


def test_a_resumed_reading_is_told_no_beginning() -> None:
    """The phone has seen it, on another connection; a place in the queue it may still hear."""
    growing = Growing()
    resumed = ResponseReader(growing.response, request_id=None, after=0)
    growing.wait(1)
    [queued] = told(resumed)
    growing.begin()
    growing.add("Hello")
    [delta] = told(resumed)

    assert "id" not in queued
    assert delta["text"] == "Hello"


@pytest.mark.parametrize(("after", "then"), [(0, ["delta", "done"]), (1, ["done"]), (2, [])])
def test_a_resumed_reading_begins_where_the_phone_was(after: int, then: list[str]) -> None:
    """Who saw the end is owed no second one."""
    growing = Growing()
    growing.begin()
    growing.add("Hello")
    growing.end()

    assert kinds(told(ResponseReader(growing.response, request_id=None, after=after))) == then


def test_nothing_is_told_of_a_response_that_could_still_be_lost() -> None:
    """Until it is open, a phone that heard of it might ask for it in vain."""
    response = Response("r_1", "ada", "model", now=0.0)
    reading = ResponseReader(response, request_id="c1", after=0)
    response.wait_at(QueuePosition(1, 1.0, WaitReason.LOADING))

    before = told(reading)
    response.open()

    assert before == []
    assert kinds(told(reading)) == ["queued"]


def test_an_end_says_everything_it_knows() -> None:
    """Usage, times, and why it failed."""
    growing = Growing()
    reading = asked(growing)
    growing.begin()
    growing.end(Status.FAILED, Problem(Code.ENGINE_FAILED, "Gone.", retry_after_s=2.0))

    assert told(reading)[-1] == {
        "type": "response.done",
        "response_id": "r_1",
        "seq": 1,
        "status": "failed",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1},
        "timings": {
            "queued_s": 0.1,
            "ttft_s": 0.2,
            "prefill_tok_s": 30.0,
            "decode_tok_s": 8.0,
        },
        "error": {"code": "engine_failed", "message": "Gone.", "retry_after_s": 2.0},
    }


@given(
    texts=st.lists(st.text(min_size=1, max_size=5), max_size=20),
    looks=st.lists(st.integers(0, 20), max_size=6),
)
def test_whenever_it_looks_a_reader_gets_the_same_text(texts: list[str], looks: list[int]) -> None:
    """Frames join without a gap and without an overlap."""
    growing = Growing()
    growing.begin()
    reading = asked(growing)
    frames: list[Message] = []
    for number, text in enumerate(texts):
        growing.add(text)
        if number in looks:
            frames += told(reading)
    growing.end()
    frames += told(reading)

    heard, seq = "", 0
    for frame in frames[1:-1]:
        assert frame["offset"] == len(heard)
        assert frame["seq"] > seq
        heard, seq = heard + frame["text"], frame["seq"]
    assert heard == "".join(texts)
    assert kinds(frames)[0] == "created"
    assert kinds(frames).count("done") == 1
