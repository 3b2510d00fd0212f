"""A prompt is cut where it does not matter, and never left too long; text and order stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.prompt.pieces import is_one_piece, pieces

WORDS = st.sampled_from(
    ["word ", "\n", "x" * 700, "1" * 1200, "\u6211" * 600, ", ", "\u3002", " " * 900]
)
TEXTS = st.lists(WORDS, max_size=60).map("".join)


@given(TEXTS, st.data())
def test_together_pieces_are_the_text(text: str, data: st.DataObject) -> None:
    """None is empty or too long, and each cut that must be is there."""
    places = st.lists(st.integers(1, max(len(text) - 1, 1)), max_size=5)
    cuts, turns = (sorted(set(data.draw(places))) for _ in range(2))
    cuts = [cut for cut in cuts if cut < len(text)]
    found = list(pieces(text, cuts, [turn for turn in turns if turn < len(text)]))

    assert "".join(piece.text for piece in found) == text
    assert all(0 < len(piece.text) <= 12_288 for piece in found)
    ends, borders = 0, {}
    for piece in found:
        borders[ends] = piece.continued
        ends += len(piece.text)
    assert all(borders[cut] for cut in cuts)
    assert {at for at, continued in borders.items() if not continued} <= {0, *turns}


@given(TEXTS, TEXTS)
def test_what_follows_changes_no_piece_but_the_last(text: str, more: str) -> None:
    """Pieces of a conversation are found again when it has grown."""
    turns = [at for at in range(0, len(text), 500) if at]
    grown = list(pieces(text + "<end>" + more, (), [*turns, len(text)]))
    before = list(pieces(text, (), turns))
    settled = before[:-1]

    assert grown[: len(settled)] == settled


def test_a_long_number_is_cut_in_short_ones() -> None:
    """It is one word, however long, and is bounded as such."""
    text = f"a {'7' * 2000} b"
    assert not is_one_piece(text)
    assert [len(piece.text) for piece in pieces(text, (), ())] == [512, 510, 510, 472]
    assert is_one_piece(f"a {'7' * 510} b {'7' * 510} c")


def test_messages_are_pieces_when_they_are_worth_it() -> None:
    """Many short ones are one together."""
    turns = list(range(300, 30_000, 300))
    found = list(pieces("word " * 6000, (), turns))
    assert {len(piece.text) for piece in found[:-1]} == {2100}
    assert not any(piece.continued for piece in found)


def test_a_long_message_is_cut_between_words() -> None:
    """Where every tokenizer cuts."""
    found = list(pieces("What a long story, and so on. " * 1000, (), ()))
    assert len(found) == 4
    assert all(piece.text.startswith(" ") and piece.continued for piece in found[1:])


def test_what_has_no_good_place_is_cut_all_the_same() -> None:
    """What the library is given at once is bounded whatever it is."""
    assert [len(piece.text) for piece in pieces("x" * 14_000, (), ())] == [12_288, 1712]


@given(st.integers(0, 1100), st.integers(400, 1200), st.integers(0, 600))
def test_a_number_that_is_too_long_is_seen_wherever_it_stands(
    before: int, digits: int, after: int
) -> None:
    """The quick look misses none."""
    text = "a" * before + "7" * digits + "b" * after
    assert is_one_piece(text) is (digits <= 510)
