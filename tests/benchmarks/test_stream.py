"""What arrivals say about speed."""

from __future__ import annotations

import pytest

from benchmarks.speed.stream import (
    Piece,
    Stream,
    Unmeasurable,
    decode_tok_s,
    jain_index,
    overall_tok_s,
    stall,
)


def stream(asked_s: float, *pieces: tuple[float, int], tokens: int) -> Stream:
    """An answer whose pieces are moments and characters."""
    return Stream(asked_s, tuple(Piece(*piece) for piece in pieces), "", 10, 0, tokens)


def test_the_first_token_is_not_part_of_the_decode_rate() -> None:
    """Four more tokens in two seconds, whatever the first took."""
    assert decode_tok_s([stream(0, (9.0, 5), (10.0, 10), (11.0, 10), tokens=5)]) == 2.0


def test_a_rate_of_several_counts_only_while_all_are_written() -> None:
    """What one writes alone, before and after, would flatter the server."""
    early = stream(0, *((float(second), 1) for second in range(1, 7)), tokens=6)
    late = stream(0, (4.0, 1), (5.0, 1), (6.0, 1), (7.0, 1), tokens=4)

    # From 4 to 6 s: two tokens of each.
    assert decode_tok_s([early, late]) == 2.0


def test_frames_of_several_tokens_count_as_several() -> None:
    """By their characters, three to a token here."""
    merged = stream(0, (1.0, 3), (2.0, 12), tokens=5)

    assert decode_tok_s([merged]) == 4.0


def test_a_frame_of_what_was_written_before_only_starts_the_clock() -> None:
    """And what was written by the end, but had not come yet, is not missed either."""
    first = stream(0, *((float(second), 1) for second in range(1, 9)), tokens=8)
    seldom = stream(0, (0.5, 1), (2.5, 2), (4.5, 2), (6.5, 2), (8.5, 2), (10.5, 2), tokens=11)

    assert decode_tok_s([first, seldom]) == 2.0


def test_pieces_of_one_moment_are_one_frame() -> None:
    """A client that was kept waiting hears several at once."""
    burst = stream(0, (1.0, 1), (1.0, 1), (2.0, 1), (3.0, 1), tokens=4)

    assert decode_tok_s([burst]) == 1.0
    with pytest.raises(Unmeasurable, match="too short"):
        decode_tok_s([stream(0, (1.0, 1), (1.0, 1), tokens=2)])


def test_answers_that_never_overlapped_have_no_rate() -> None:
    """A sentence rather than a wild number."""
    with pytest.raises(Unmeasurable, match="too short"):
        decode_tok_s([stream(0, (1.0, 1), (2.0, 1), tokens=2), stream(0, (3.0, 1), tokens=1)])


def test_the_overall_rate_counts_everything_from_the_first_question() -> None:
    """Prompts and waits included."""
    both = [stream(1.0, (3.0, 1), (5.0, 1), tokens=6), stream(0.0, (2.0, 1), (4.0, 1), tokens=4)]

    assert overall_tok_s(both) == 2.0


def test_a_stall_is_the_longest_gap_that_the_newcomer_fell_into() -> None:
    """Including one that had begun before it came, and one that ends after its first text."""
    reader = stream(0, (1.0, 1), (1.1, 1), (1.2, 1), (1.3, 1), (3.3, 1), (8.0, 1), tokens=6)

    usual_s, longest_s = stall(reader, after_s=1.31, until_s=3.4)
    assert usual_s == pytest.approx(0.1)
    assert longest_s == pytest.approx(4.7)
    assert stall(reader, after_s=1.31, until_s=3.2)[1] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("shares", "index"), [([2, 2, 2], 1.0), ([1, 0, 0, 0], 0.25), ([3, 1], 0.8)]
)
def test_evenness_is_jains_index(shares: list[float], index: float) -> None:
    """1 if all have the same, 1/n if one has all."""
    assert jain_index(shares) == pytest.approx(index)
