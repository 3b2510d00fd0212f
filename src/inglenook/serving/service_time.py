"""Running mean of how long answers take. Kind: rules."""

from __future__ import annotations

#: Until a first answer was measured: some 100 tokens, at a small board's 8 a second.
_FIRST_GUESS_S = 12.0
_FIRST_GUESS_TOKENS = 100.0

#: How far one answer moves the mean.
_SHARE = 0.2


class ServiceTime:
    """A mean that forgets.

    Attributes:
        answer_s: From an answer's begin to its end.
        answer_tokens: Prompt and answer together.
    """

    def __init__(self) -> None:
        self.answer_s = _FIRST_GUESS_S
        self.answer_tokens = _FIRST_GUESS_TOKENS

    def learn(self, took_s: float, tokens: int) -> None:
        """Take an answer that has ended into account."""
        self.answer_s += _SHARE * (took_s - self.answer_s)
        self.answer_tokens += _SHARE * (tokens - self.answer_tokens)

    def eta_s(self, position: int, max_active: int) -> float:
        """When the one at ``position`` is likely to begin: answers end one after the other."""
        return round(position * self.answer_s / max(max_active, 1), 1)
