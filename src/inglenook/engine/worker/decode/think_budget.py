"""Ending a thought that has had its tokens. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from inglenook.engine.orders import Thinking
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.output_reader import OutputReader
from inglenook.engine.worker.decode.think_format import ThinkFormat


class TokenSampler(Protocol):
    """What chooses an answer's tokens."""

    def sample(self, context: Context, index: int) -> int:
        """Choose the token that follows batch place ``index``, and remember it."""

    def take(self, token: int) -> bool:
        """Remember a token that was chosen elsewhere, if it may come next."""

    def remember(self, tokens: Sequence[int]) -> None:
        """Take tokens as said, so that penalties count them."""

    def close(self) -> None:
        """Give everything back."""


def with_think_budget(
    sampler: TokenSampler, reader: OutputReader, thoughts: ThinkFormat, thinking: Thinking
) -> TokenSampler:
    """Have a chooser keep to what was asked for, if that is any bound."""
    budget_tokens = 0 if thinking.mode == "off" else thinking.budget_tokens
    if budget_tokens is None:
        return sampler
    return ThinkBudgetSampler(sampler, reader, thoughts, budget_tokens)


class ThinkBudgetSampler:
    """A `TokenSampler` that writes the end of a thought itself once its budget is used up.

    Whether it is can be told from what was written alone, so it is the same after an engine's
    death.
    """

    def __init__(
        self, sampler: TokenSampler, reader: OutputReader, thoughts: ThinkFormat, budget_tokens: int
    ) -> None:
        """Choose as ``chooser`` does, but for that; ``reader`` hears every token written."""
        self._sampler = sampler
        self._reader = reader
        self._thoughts = thoughts
        self._budget_tokens = budget_tokens

    def sample(self, context: Context, index: int) -> int:
        """See `TokenSampler.sample`."""
        reader = self._reader
        if reader.thinking and reader.thought_tokens >= self._budget_tokens:
            token = self._thoughts.first_token(reader.closing)
            if token is not None and self._sampler.take(token):
                return token
        return self._sampler.sample(context, index)

    def take(self, token: int) -> bool:
        """See `TokenSampler.take`."""
        return self._sampler.take(token)

    def remember(self, tokens: Sequence[int]) -> None:
        """See `TokenSampler.remember`."""
        self._sampler.remember(tokens)

    def close(self) -> None:
        """See `TokenSampler.close`."""
        self._sampler.close()
