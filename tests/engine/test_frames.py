"""Frames survive any cutting of the stream, and a broken stream is noticed at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.frames import HEADER_BYTES, BadFrame, FrameReader, frame

LIMIT_BYTES = 100


@given(
    payloads=st.lists(st.binary(min_size=1, max_size=LIMIT_BYTES), max_size=8),
    cuts=st.lists(st.integers(0, 8 * (LIMIT_BYTES + HEADER_BYTES)), max_size=20),
)
def test_any_cutting_of_the_stream_gives_the_same_payloads(
    payloads: list[bytes], cuts: list[int]
) -> None:
    """A socket may hand over half a header, or three frames at once."""
    stream = b"".join(frame(payload, LIMIT_BYTES) for payload in payloads)
    reader = FrameReader(LIMIT_BYTES)

    got = []
    for start, end in pairwise(sorted([0, *cuts, len(stream)])):
        got += reader.feed(stream[start:end])

    assert got == payloads


def test_a_payload_comes_with_its_last_byte_and_not_before() -> None:
    """Nothing is shown of an unfinished frame, and nothing of a finished one waits for the next."""
    stream = frame(b"hello", LIMIT_BYTES)
    reader = FrameReader(LIMIT_BYTES)

    got = [reader.feed(stream[at : at + 1]) for at in range(len(stream))]

    assert got == [[]] * (len(stream) - 1) + [[b"hello"]]


@pytest.mark.parametrize("length", [1, LIMIT_BYTES])
def test_the_limits_belong_to_what_is_allowed(length: int) -> None:
    """One byte, and exactly the limit, go through both ways."""
    payload = b"x" * length
    assert FrameReader(LIMIT_BYTES).feed(frame(payload, LIMIT_BYTES)) == [payload]


@pytest.mark.parametrize("length", [0, LIMIT_BYTES + 1])
def test_what_may_not_be_sent_is_a_bug_on_our_side(length: int) -> None:
    """An empty or oversized payload is refused before it gets onto the pipe."""
    with pytest.raises(ValueError, match=f"frame of {length} bytes"):
        frame(b"x" * length, LIMIT_BYTES)


@pytest.mark.parametrize("length", [0, LIMIT_BYTES + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_noticed_from_the_header_alone(length: int) -> None:
    """Four wrong bytes must not make the reader wait for four gigabytes."""
    with pytest.raises(BadFrame, match=f"a frame of {length} bytes"):
        FrameReader(LIMIT_BYTES).feed(length.to_bytes(HEADER_BYTES))


def test_frames_before_a_broken_one_do_not_hide_it() -> None:
    """One read can hold good frames and then garbage."""
    with pytest.raises(BadFrame):
        FrameReader(LIMIT_BYTES).feed(frame(b"good", LIMIT_BYTES) + b"\xff" * 4)


@given(st.binary(max_size=300))
def test_garbage_is_cut_into_payloads_or_refused_and_nothing_else(garbage: bytes) -> None:
    """Whatever comes, the reader holds less than one frame of it."""
    reader = FrameReader(LIMIT_BYTES)
    try:
        payloads = reader.feed(garbage)
    except BadFrame:
        return
    taken = sum(len(payload) + HEADER_BYTES for payload in payloads)
    assert 0 <= len(garbage) - taken < LIMIT_BYTES + HEADER_BYTES


def test_the_error_is_a_sentence_for_the_log() -> None:
    """It ends up in the state that people see."""
    assert str(BadFrame("a frame of 0 bytes")) == (
        "the engine's pipe carried nonsense: a frame of 0 bytes"
    )
