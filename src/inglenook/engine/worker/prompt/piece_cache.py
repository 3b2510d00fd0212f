"""Cache of tokenised pieces of prompts. Kind: hands.

A conversation grows at its end, and its prompt is tokenised again with every letter typed; all
pieces except the last are found here.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from inglenook.engine.worker.prompt.pieces import PromptPiece

#: Bound of all pieces together: some conversations of the largest size that a frame allows, 1 to
#: 4 MB of text, and as much again of tokens at worst.
_CHARACTERS_MAX: Final = 2**20

#: Shorter pieces are tokenised as quickly.
_WORTH_KEEPING_CHARACTERS: Final = 256


class PieceCache:
    """The most recently used pieces. Several threads may use it at once."""

    def __init__(self) -> None:
        """Begin empty."""
        self._pieces: OrderedDict[PromptPiece, Sequence[int]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, piece: PromptPiece) -> Sequence[int] | None:
        """The piece's tokens; None if they are not cached."""
        with self._lock:
            found = self._pieces.get(piece)
            if found is not None:
                self._pieces.move_to_end(piece)
            return found

    def add(self, piece: PromptPiece, tokens: Iterable[int]) -> None:
        """Add a piece, and evict the least recently used ones beyond the bound."""
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
