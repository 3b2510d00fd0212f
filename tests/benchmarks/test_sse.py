"""An event stream is read the same, however the network cut it."""

from __future__ import annotations

import json

import pytest

from benchmarks.speed.answer import Arrival
from benchmarks.speed.sse import read_events
from benchmarks.speed.stream import Unmeasurable

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 20},
}
EVENTS = [
    {"choices": [{"delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"delta": {"content": "Once"}}]},
    {"choices": [{"delta": {"reasoning_content": " upon"}}]},
    {"choices": [{"delta": {"content": " é"}}]},
    {"choices": [], "usage": USAGE},
]


def chunk(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


def whole_reply() -> bytes:
    """All events, a chunk each, as llama.cpp's server sends them."""
    chunks = [chunk(f"data: {json.dumps(event)}\n\n".encode()) for event in EVENTS]
    return HEAD + b"".join(chunks) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_cuts_of_any_size_give_the_same_answer(size: int) -> None:
    """A byte at a time, or all at once."""
    data = whole_reply()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    reading = read_events([Arrival(float(n), piece) for n, piece in enumerate(pieces)])

    assert reading.text == "Once upon é"
    assert (reading.prompt_tokens, reading.cached_tokens, reading.tokens) == (30, 20, 3)
    assert [piece.characters for piece in reading.pieces] == [4, 5, 2]


def test_text_came_when_the_last_byte_of_its_event_did() -> None:
    """Half an event is nothing to read."""
    data = whole_reply()
    cut = data.index(b"Once") + 2
    reading = read_events([Arrival(1.0, data[:cut]), Arrival(2.0, data[cut:])])

    assert {piece.at_s for piece in reading.pieces} == {2.0}


def test_an_answer_cut_short_keeps_what_came() -> None:
    """As when the phone has heard enough and hangs up."""
    data = whole_reply()
    reading = read_events([Arrival(1.0, data[: data.index(b"upon")])])

    assert reading.text == "Once"
    assert reading.tokens == 0


def test_a_refusal_is_a_sentence() -> None:
    """With the server's own words."""
    with pytest.raises(Unmeasurable, match="503"):
        read_events([Arrival(1.0, b"HTTP/1.1 503 Service Unavailable\r\n\r\nLoading model")])
