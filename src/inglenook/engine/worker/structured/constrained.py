"""Choosing tokens where an answer has to keep to a schema. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inglenook.engine.worker.structured.grammar_state import GrammarDeadEnd

if TYPE_CHECKING:
    from inglenook.engine.worker.context import Context
    from inglenook.engine.worker.decode.sampler import Sampler
    from inglenook.engine.worker.structured.grammar_state import GrammarState


class ConstrainedSampler:
    """A `Sampler` whose choices a `GrammarState` agrees with.

    Most tokens are right without being told. So each is chosen as ever, and only it is looked at;
    if it will not do, another is chosen, of those that will.

    Attributes:
        redrawn: How often that was.
    """

    def __init__(self, sampler: Sampler, grammar: GrammarState) -> None:
        """Take both over."""
        self.resampled = 0
        self._sampler = sampler
        self._grammar = grammar

    def sample(self, context: Context, index: int) -> int:
        """Choose the token that follows batch place ``index``, and remember it.

        Raises:
            Astray: If nothing may follow.
        """
        token = self._sampler.look(context, index)
        if not self._grammar.take(token):
            self.resampled += 1
            allowed = self._grammar.allowed()
            if not len(allowed):
                raise GrammarDeadEnd("nothing may follow")
            token = self._sampler.choose(context.candidates(index, allowed))
            if not self._grammar.take(token):
                raise GrammarDeadEnd(f"token {token} was allowed and is not")
        self._sampler.remember((token,))
        return token

    def take(self, token: int) -> bool:
        """Remember a token that was chosen elsewhere, if it may come next."""
        may_come = self._grammar.take(token)
        if may_come:
            self._sampler.remember((token,))
        return may_come

    def remember(self, tokens: Sequence[int]) -> None:
        """See `Sampler.remember`."""
        self._sampler.remember(tokens)

    def close(self) -> None:
        """Give the chain back."""
        self._sampler.close()
