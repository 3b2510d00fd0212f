"""Sampling of answers with a schema. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inglenook.engine.worker.structured.grammar_state import GrammarDeadEnd

if TYPE_CHECKING:
    from inglenook.engine.worker.context import Context
    from inglenook.engine.worker.decode.sampler import Sampler
    from inglenook.engine.worker.structured.grammar_state import GrammarState


class ConstrainedSampler:
    """A `Sampler` that only returns tokens which a `GrammarState` allows.

    Most tokens are valid without a mask. So a token is sampled from all, and only it is checked; if
    it is invalid, another is sampled from the valid ones.

    Attributes:
        resampled: Number of tokens that were sampled twice.
    """

    def __init__(self, sampler: Sampler, grammar: GrammarState) -> None:
        """Take over the sampler and the grammar's state."""
        self.resampled = 0
        self._sampler = sampler
        self._grammar = grammar

    def sample(self, context: Context, index: int) -> int:
        """Sample the token after batch row ``index``, and remember it.

        Raises:
            GrammarDeadEnd: If no token may follow.
        """
        token = self._sampler.look(context, index)
        if not self._grammar.take(token):
            self.resampled += 1
            allowed = self._grammar.allowed()
            if not len(allowed):
                raise GrammarDeadEnd("no token may follow")
            token = self._sampler.choose(context.candidates(index, allowed))
            if not self._grammar.take(token):
                raise GrammarDeadEnd(f"token {token} is in the mask, but was refused")
        self._sampler.remember((token,))
        return token

    def take(self, token: int) -> bool:
        """Remember a token that was not sampled here, if it may come next; return whether."""
        may_come = self._grammar.take(token)
        if may_come:
            self._sampler.remember((token,))
        return may_come

    def remember(self, tokens: Sequence[int]) -> None:
        """Add tokens to those that the penalties count."""
        self._sampler.remember(tokens)

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()
