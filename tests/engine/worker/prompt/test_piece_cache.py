"""Tokenised pieces are found again, and the bound holds."""

from __future__ import annotations

from inglenook.engine.worker.prompt.piece_cache import PieceCache
from inglenook.engine.worker.prompt.pieces import PromptPiece


def test_a_piece_is_found_as_it_was_and_only_so() -> None:
    """The same text in the middle of another has other tokens."""
    known = PieceCache()
    known.add(PromptPiece("x" * 300, continued=False), [1, 2, 3])

    assert list(known.get(PromptPiece("x" * 300, continued=False)) or ()) == [1, 2, 3]
    assert known.get(PromptPiece("x" * 300, continued=True)) is None
    assert known.get(PromptPiece("x" * 301, continued=False)) is None


def test_what_is_read_in_no_time_is_not_kept() -> None:
    """There may be thousands."""
    known = PieceCache()
    known.add(PromptPiece("short", continued=False), [1])
    assert known.get(PromptPiece("short", continued=False)) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    """A million characters are cached."""
    known = PieceCache()
    pieces = [PromptPiece(f"{number:04}" + "x" * 9996, continued=False) for number in range(104)]
    for piece in pieces:
        known.add(piece, [1])
        known.add(piece, [1])
    assert known.get(pieces[0]) is not None
    known.add(PromptPiece("y" * 10_000, continued=False), [2])

    assert known.get(pieces[0]) is not None
    assert known.get(pieces[1]) is None
    assert known.get(pieces[2]) is not None
