"""Pieces that were read are found again, and never more of them than there is room for."""

from __future__ import annotations

from inglenook.engine.worker.known import KnownPieces
from inglenook.engine.worker.pieces import Piece


def test_a_piece_is_found_as_it_was_and_only_so() -> None:
    """The same text read in the middle of another has other tokens."""
    known = KnownPieces()
    known.add(Piece("x" * 300, continued=False), [1, 2, 3])

    assert list(known.get(Piece("x" * 300, continued=False)) or ()) == [1, 2, 3]
    assert known.get(Piece("x" * 300, continued=True)) is None
    assert known.get(Piece("x" * 301, continued=False)) is None


def test_what_is_read_in_no_time_is_not_kept() -> None:
    """There may be thousands."""
    known = KnownPieces()
    known.add(Piece("short", continued=False), [1])
    assert known.get(Piece("short", continued=False)) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    """A million characters are kept."""
    known = KnownPieces()
    pieces = [Piece(f"{number:04}" + "x" * 9996, continued=False) for number in range(104)]
    for piece in pieces:
        known.add(piece, [1])
        known.add(piece, [1])
    assert known.get(pieces[0]) is not None
    known.add(Piece("y" * 10_000, continued=False), [2])

    assert known.get(pieces[0]) is not None
    assert known.get(pieces[1]) is None
    assert known.get(pieces[2]) is not None
