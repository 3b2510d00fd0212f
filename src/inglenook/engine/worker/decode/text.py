"""Bytes of tokens to text that is safe to show. Kind: rules."""

from __future__ import annotations

import codecs

from inglenook.engine.thinking.signs import foreign


class TextAssembler:
    """Incremental UTF-8 decoder that never returns half a character or part of a stop string.

    Tokens that are tags are added as one character each, see `Signs`.

    The cost per token depends on the length of the piece and of the stop strings, not on that of
    the answer; the text does not depend on token boundaries.

    Attributes:
        stopped: A stop string was reached; no more text follows.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        """Set the stop strings; none may be empty."""
        self.stopped = False
        self._stop = stop
        self._held = ""
        #: First bytes of a character that is not complete yet.
        self._bytes = b""

    def push(self, piece: bytes) -> str:
        """Add one token's bytes; return the text that can be shown now, usually that token's."""
        data = self._bytes + piece
        # Invalid bytes, which models do generate, become U+FFFD instead of an error.
        text, used = codecs.utf_8_decode(data, "replace")
        self._bytes = data[used:]
        text = foreign(text)
        return self._release(text) if self._stop else text

    def push_sign(self, sign: str) -> str:
        """Add a token that is a tag, as the character that stands for it; returns as `push`."""
        text = "\ufffd" + sign if self._bytes else sign
        self._bytes = b""
        return self._release(text) if self._stop else text

    def finish(self) -> str:
        """Return the held-back text, at the end; an incomplete character is dropped."""
        text, self._held = self._held, ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        self._held = ""
        # The stop string that is complete first counts, even if another one began before it.
        met = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if met:
            self.stopped = True
            return text[: min(met)[1]]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        if keep:
            self._held = text[-keep:]
            return text[:-keep]
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest suffix of ``text`` that is a proper prefix of ``stop``."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
