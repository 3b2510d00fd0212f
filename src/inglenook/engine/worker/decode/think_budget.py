"""Bound on the tokens of thinking. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from inglenook.engine.orders import Thinking
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.output_reader import OutputReader
from inglenook.engine.worker.decode.think_format import ThinkFormat


class TokenSampler(Protocol):
    """Sampler of one answer's tokens."""

    def sample(self, context: Context, index: int) -> int:
        """Sample the token after batch row ``index``, and remember it."""

    def take(self, token: int) -> bool:
        """Remember a token that was not sampled here, if it may come next; return whether."""

    def remember(self, tokens: Sequence[int]) -> None:
        """Add tokens to those that the penalties count."""

    def close(self) -> None:
        """Free the library's memory."""


def with_think_budget(
    sampler: TokenSampler, reader: OutputReader, thoughts: ThinkFormat, thinking: Thinking
) -> TokenSampler:
    """Wrap a sampler so that it keeps to the request's thinking budget, if there is one."""
    budget_tokens = 0 if thinking.mode == "off" else thinking.budget_tokens
    if budget_tokens is None:
        return sampler
    return ThinkBudgetSampler(sampler, reader, thoughts, budget_tokens)


class ThinkBudgetSampler:
    """A `TokenSampler` that ends thinking with the closing tag once the budget is used up.

    That depends only on the generated tokens, so a resumed answer has the same bound.
    """

    def __init__(
        self, sampler: TokenSampler, reader: OutputReader, thoughts: ThinkFormat, budget_tokens: int
    ) -> None:
        """Wrap ``sampler``; ``reader`` must be called with each generated token."""
        self._sampler = sampler
        self._reader = reader
        self._thoughts = thoughts
        self._budget_tokens = budget_tokens

    def sample(self, context: Context, index: int) -> int:
        """Sample the next token, or take the closing tag's."""
        reader = self._reader
        if reader.thinking and reader.thought_tokens >= self._budget_tokens:
            token = self._thoughts.first_token(reader.closing)
            if token is not None and self._sampler.take(token):
                return token
        return self._sampler.sample(context, index)

    def take(self, token: int) -> bool:
        """Remember a token that was not sampled here, if it may come next; return whether."""
        return self._sampler.take(token)

    def remember(self, tokens: Sequence[int]) -> None:
        """Add tokens to those that the penalties count."""
        self._sampler.remember(tokens)

    def close(self) -> None:
        """Free the library's memory."""
        self._sampler.close()
