from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.thinking import Channel
from inglenook.serving.response import Response
from inglenook.serving.response_parts import (
    TRANSITIONS,
    Change,
    Cut,
    Ending,
    Outcome,
    QueuePosition,
    Status,
    TextPiece,
    WaitReason,
    merged,
)

ANSWER, THINKING = Channel.ANSWER, Channel.THINKING

PLENTY_BYTES = 1000


def grow(
    response: Response,
    *texts: str,
    channel: Channel = ANSWER,
    begins: bool = False,
    status: Status | None = None,
) -> None:
    """Add texts, each as an entry of its own, and maybe the end."""
    pieces = []
    seq, offset = response.next_seq, response.length(channel)
    for text in texts:
        pieces.append(TextPiece(seq, channel, offset, text))
        seq, offset = seq + 1, offset + len(text)
    ending = None if status is None else Ending(seq, status, Outcome())
    change = Change(response.response_id, begins, tuple(pieces), (), ending)
    response.apply(change, now=50.0)


def begun(*texts: str) -> Response:
    """A response that runs and has said ``texts``."""
    response = Response("r", "ada", "tiny", now=0.0)
    grow(response, *texts, begins=True)
    return response


def test_entries_are_numbered_from_one_and_the_end_is_one_too() -> None:
    """What a phone has seen last is one number, whatever it was."""
    response = begun("a", "b")
    assert response.last_seq == 2
    grow(response, "c", status=Status.COMPLETED)

    assert response.last_seq == 4
    assert response.text(ANSWER) == "abc"
    assert (response.status, response.ended_at) == (Status.COMPLETED, 50.0)


def test_a_response_without_text_has_an_end_all_the_same() -> None:
    """An empty answer, one that failed at once: the end is entry 1."""
    response = Response("r", "ada", "tiny", now=0.0)
    assert response.last_seq == 0
    grow(response, status=Status.FAILED)

    assert response.last_seq == 1
    assert response.after(0, PLENTY_BYTES) == []


@pytest.mark.parametrize("status", Status)
def test_a_response_moves_only_as_its_table_says(status: Status) -> None:
    """Every pair of states that is not in the table is a fault of ours, and is caught."""
    for response in (Response("r", "ada", "tiny", now=0.0), begun()):
        before = response.status
        if status in TRANSITIONS[before]:
            response._move(status)
            assert response.status is status
        else:
            with pytest.raises(AssertionError):
                response._move(status)
    assert status.over == (status not in TRANSITIONS)


def test_a_merged_entry_carries_its_last_number_and_its_first_offset() -> None:
    """So a phone that resumes after it gets exactly the rest."""
    response = begun("ab", "cd", "ef")

    assert response.after(0, PLENTY_BYTES) == [TextPiece(3, ANSWER, 0, "abcdef")]
    assert response.after(1, PLENTY_BYTES) == [TextPiece(3, ANSWER, 2, "cdef")]
    assert response.after(3, PLENTY_BYTES) == []


def test_channels_are_not_merged_with_each_other_and_count_their_own_offsets() -> None:
    """Thinking and answer are two texts."""
    response = begun()
    grow(response, "hm", "m", channel=THINKING)
    grow(response, "yes", "!")

    assert response.after(0, PLENTY_BYTES) == [
        TextPiece(2, THINKING, 0, "hmm"),
        TextPiece(4, ANSWER, 0, "yes!"),
    ]
    assert response.length(THINKING) == 3


def test_merging_stops_at_the_bound_which_counts_bytes() -> None:
    """A frame to a phone has at most 32 KiB, and a character up to four bytes."""
    pieces = [TextPiece(seq, ANSWER, seq - 1, "é") for seq in range(1, 6)]

    assert [piece.text for piece in merged(pieces, 4)] == ["éé", "éé", "é"]
    assert [piece.seq for piece in merged(pieces, 4)] == [2, 4, 5]
    assert [piece.text for piece in merged(pieces, 1)] == ["é"] * 5


@given(
    st.lists(st.tuples(st.sampled_from(Channel), st.text(min_size=1, max_size=5)), max_size=20),
    st.integers(min_value=1, max_value=40),
    st.data(),
)
def test_a_reader_cut_off_anywhere_ends_with_the_same_text(
    said: list[tuple[Channel, str]], bytes_max: int, data: st.DataObject
) -> None:
    """Whatever was merged, wherever it was cut: offsets join up and nothing is lost or repeated."""
    response = begun()
    for channel, text in said:
        grow(response, text, channel=channel)
    seen = dict.fromkeys(Channel, "")
    seq = 0
    while seq < response.last_seq:
        for piece in response.after(seq, bytes_max):
            assert piece.offset == len(seen[piece.channel])
            assert piece.seq > seq
            seen[piece.channel] += piece.text
            seq = piece.seq
            if data.draw(st.booleans()):
                break
    assert seen == {channel: response.text(channel) for channel in Channel}


def test_after_a_gap_in_the_numbers_a_reader_goes_on_as_before() -> None:
    """Numbers only ever grow; nobody needs them to be without gaps."""
    response = begun("a", "b")
    response.skip_to(1000)
    grow(response, "c", status=Status.COMPLETED)

    assert response.after(2, PLENTY_BYTES) == [TextPiece(1000, ANSWER, 2, "c")]
    assert response.last_seq == 1001


@pytest.mark.parametrize("seq", [0, 1, 2, 1000, 1001])
def test_a_copy_that_ends_with_a_known_number_is_good(seq: int) -> None:
    """The numbers of entries, of nothing, and of the end."""
    response = begun("a", "b")
    response.skip_to(1000)
    grow(response, "c", status=Status.COMPLETED)

    assert response.cut_for(seq) is None


@pytest.mark.parametrize(
    ("seq", "cut"),
    [
        (3, Cut(2, {ANSWER: 1, THINKING: 2})),
        (999, Cut(2, {ANSWER: 1, THINKING: 2})),
        (1001, Cut(1000, {ANSWER: 2, THINKING: 2})),
        (2**60, Cut(1000, {ANSWER: 2, THINKING: 2})),
    ],
)
def test_a_copy_that_ends_with_a_lost_number_is_cut_to_what_is_known(seq: int, cut: Cut) -> None:
    """After a power cut: everything after ``seq`` goes, in each channel."""
    response = begun()
    grow(response, "hm", channel=THINKING)
    grow(response, "a")
    response.skip_to(1000)
    grow(response, "b")

    assert response.cut_for(seq) == cut


def test_a_copy_of_which_nothing_is_known_is_cut_to_nothing() -> None:
    """The power went before the first sync, but after the request was safe."""
    response = Response("r", "ada", "tiny", now=0.0)

    assert response.cut_for(5) == Cut(0, {ANSWER: 0, THINKING: 0})
    assert response.cut_for(0) is None


def test_the_end_keeps_its_number_so_that_it_is_not_taken_for_lost_text() -> None:
    """Skipped numbers count for an end without text too."""
    response = begun("a")
    response.skip_to(1000)
    grow(response, status=Status.FAILED)

    assert response.last_seq == 1000
    assert response.cut_for(2) == Cut(1, {ANSWER: 1, THINKING: 0})
    assert response.cut_for(1000) is None


def test_every_change_wakes_every_reader() -> None:
    """Text, a new place, the opening; but not a place that is the same."""
    response = Response("r", "ada", "tiny", now=0.0)
    woken = []
    response.subscribe(lambda: woken.append(1))
    response.subscribe(lambda: woken.append(2))

    response.open()
    assert woken == [1, 2]
    response.wait_at(QueuePosition(1, 2.0, WaitReason.BUSY))
    response.wait_at(QueuePosition(1, 2.0, WaitReason.BUSY))
    assert woken == [1, 2] * 2
    grow(response, "a", begins=True)
    assert woken == [1, 2] * 3
    assert response.place is None


def test_a_response_is_unread_from_its_birth_and_from_its_last_readers_leaving() -> None:
    """What the grace of an answer that nobody reads is counted from."""
    response = Response("r", "ada", "tiny", now=5.0)
    assert response.unread_since == 5.0

    def first() -> None: ...

    def second() -> None: ...

    response.subscribe(first)
    response.subscribe(second)
    assert response.unread_since is None
    response.unsubscribe(first, now=7.0)
    assert response.unread_since is None
    response.unsubscribe(second, now=8.0)
    assert response.unread_since == 8.0
    response.unsubscribe(second, now=9.0)
    assert response.unread_since == 8.0


def test_text_counts_towards_what_a_response_holds() -> None:
    """Bytes, not characters, and something for each entry."""
    few = begun("é" * 10)
    many = begun(*"é" * 10)

    assert few.held_bytes >= 20
    assert many.held_bytes > few.held_bytes
