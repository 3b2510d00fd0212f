"""Ending a thought that has had its tokens. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from inglenook.engine.orders import Thinking
from inglenook.engine.worker.llama import Context
from inglenook.engine.worker.reader import Reader
from inglenook.engine.worker.thoughts import Thoughts


class Chooser(Protocol):
    """What chooses an answer's tokens."""

    def sample(self, context: Context, index: int) -> int:
        """Choose the token that follows batch place ``index``, and remember it."""

    def take(self, token: int) -> bool:
        """Remember a token that was chosen elsewhere, if it may come next."""

    def remember(self, tokens: Sequence[int]) -> None:
        """Take tokens as said, so that penalties count them."""

    def close(self) -> None:
        """Give everything back."""


def closing_in_time(
    chooser: Chooser, reader: Reader, thoughts: Thoughts, thinking: Thinking
) -> Chooser:
    """Have a chooser keep to what was asked for, if that is any bound."""
    budget_tokens = 0 if thinking.mode == "off" else thinking.budget_tokens
    if budget_tokens is None:
        return chooser
    return ClosingSampler(chooser, reader, thoughts, budget_tokens)


class ClosingSampler:
    """A `Chooser` that writes the end of a thought itself once its budget is used up.

    Whether it is can be told from what was written alone, so it is the same after an engine's
    death.
    """

    def __init__(
        self, chooser: Chooser, reader: Reader, thoughts: Thoughts, budget_tokens: int
    ) -> None:
        """Choose as ``chooser`` does, but for that; ``reader`` hears every token written."""
        self._chooser = chooser
        self._reader = reader
        self._thoughts = thoughts
        self._budget_tokens = budget_tokens

    def sample(self, context: Context, index: int) -> int:
        """See `Chooser.sample`."""
        reader = self._reader
        if reader.thinking and reader.thought_tokens >= self._budget_tokens:
            token = self._thoughts.first_token(reader.closing)
            if token is not None and self._chooser.take(token):
                return token
        return self._chooser.sample(context, index)

    def take(self, token: int) -> bool:
        """See `Chooser.take`."""
        return self._chooser.take(token)

    def remember(self, tokens: Sequence[int]) -> None:
        """See `Chooser.remember`."""
        self._chooser.remember(tokens)

    def close(self) -> None:
        """See `Chooser.close`."""
        self._chooser.close()
