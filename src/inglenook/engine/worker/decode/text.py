"""Token pieces to text that is safe to show. Kind: rules."""

from __future__ import annotations

import codecs

from inglenook.engine.thinking.signs import foreign


class TextAssembler:
    """Joins the bytes of tokens into text, never half a character and never part of a stop string.

    Among them may be tokens that are tags, see `Signs`.

    Work per token depends on the length of the piece and of the stop strings, not of the answer;
    and the text does not depend on where one token ends and the next begins.

    Attributes:
        stopped: A stop string was met; no more text comes.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        """Take the stop strings; none may be empty."""
        self.stopped = False
        self._stop = stop
        self._held = ""
        #: What has come of a character that is not whole yet.
        self._bytes = b""

    def push(self, piece: bytes) -> str:
        """Take one token's bytes; return what can be shown now, often but not always that token."""
        data = self._bytes + piece
        # Bytes that are no text (models do write such) become U+FFFD instead of an error.
        text, used = codecs.utf_8_decode(data, "replace")
        self._bytes = data[used:]
        text = foreign(text)
        return self._release(text) if self._stop else text

    def push_sign(self, sign: str) -> str:
        """Take a token that is a tag, as the character that stands for it; as `push`."""
        text = "\ufffd" + sign if self._bytes else sign
        self._bytes = b""
        return self._release(text) if self._stop else text

    def finish(self) -> str:
        """Return what was held back, now that nothing more comes; half a character is dropped."""
        text, self._held = self._held, ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        self._held = ""
        # The first to be whole counts: another that began before it would have to be waited for.
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
    """Length of the longest end of ``text`` with which ``stop`` begins."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
