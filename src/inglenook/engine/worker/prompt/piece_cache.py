"""Pieces of prompts that were turned into tokens before. Kind: hands.

A conversation grows at its end, and what is typed is read again and again; all but the last piece
of it is found here.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from inglenook.engine.worker.prompt.pieces import PromptPiece

#: Of all pieces together: some conversations of the largest size that a frame allows. It comes to
#: 1 to 4 MB of text, and as much again of tokens at worst.
_CHARACTERS_MAX: Final = 2**20

#: Shorter ones are as quickly read.
_WORTH_KEEPING_CHARACTERS: Final = 256


class PieceCache:
    """The pieces used last. Several threads may use it at once."""

    def __init__(self) -> None:
        """Know nothing."""
        self._pieces: OrderedDict[PromptPiece, Sequence[int]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, piece: PromptPiece) -> Sequence[int] | None:
        """Its tokens, if it is known."""
        with self._lock:
            found = self._pieces.get(piece)
            if found is not None:
                self._pieces.move_to_end(piece)
            return found

    def add(self, piece: PromptPiece, tokens: Iterable[int]) -> None:
        """Know it from now on, instead of what was used longest ago."""
        if len(piece.text) < _WORTH_KEEPING_CHARACTERS:
            return
        with self._lock:
            if piece in self._pieces:
                return
            self._pieces[piece] = array("i", tokens)
            self._characters += len(piece.text)
            while self._characters > _CHARACTERS_MAX:
                old, _tokens = self._pieces.popitem(last=False)
                self._characters -= len(old.text)
