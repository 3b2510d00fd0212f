"""The thinking before an answer: where it ends. Kind: rules."""

from __future__ import annotations

from typing import Final

OPEN: Final = b"<think>"
CLOSE: Final = b"</think>"


class Thought:
    """The bytes of a model's thinking, as far as they matter to where it ends."""

    def __init__(self) -> None:
        self._end = b""

    @property
    def missing(self) -> bytes:
        """What of the closing tag is not there yet: all of it, unless it has been begun."""
        for length in range(min(len(self._end), len(CLOSE) - 1), 0, -1):
            if self._end.endswith(CLOSE[:length]):
                return CLOSE[length:]
        return CLOSE

    def after(self, piece: bytes) -> bytes | None:
        """What would follow the tag if ``piece`` came next; None if it would go on thinking.

        White space next to the tag belongs to neither thinking nor answer.
        """
        _thought, tag, answer = (self._end + piece).partition(CLOSE)
        return answer.lstrip() if tag else None

    def add(self, piece: bytes) -> None:
        """Go on thinking."""
        self._end = (self._end + piece)[-len(CLOSE) :]
