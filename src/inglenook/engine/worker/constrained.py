"""Choosing tokens where an answer has to keep to a schema. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inglenook.engine.worker.guide import Astray

if TYPE_CHECKING:
    from inglenook.engine.worker.guide import Guide
    from inglenook.engine.worker.llama import Context
    from inglenook.engine.worker.sampler import Sampler


class ConstrainedSampler:
    """A `Sampler` whose choices a `Guide` agrees with.

    Most tokens are right without being told. So each is chosen as ever, and only it is looked at;
    if it will not do, another is chosen, of those that will.

    Attributes:
        redrawn: How often that was.
    """

    def __init__(self, sampler: Sampler, guide: Guide) -> None:
        """Take both over."""
        self.redrawn = 0
        self._sampler = sampler
        self._guide = guide

    def sample(self, context: Context, index: int) -> int:
        """Choose the token that follows batch place ``index``, and remember it.

        Raises:
            Astray: If nothing may follow.
        """
        token = self._sampler.look(context, index)
        if not self._guide.take(token):
            self.redrawn += 1
            allowed = self._guide.allowed()
            if not len(allowed):
                raise Astray("nothing may follow")
            token = self._sampler.choose(context.candidates(index, allowed))
            if not self._guide.take(token):
                raise Astray(f"token {token} was allowed and is not")
        self._sampler.remember((token,))
        return token

    def take(self, token: int) -> bool:
        """Remember a token that was chosen elsewhere, if it may come next."""
        may_come = self._guide.take(token)
        if may_come:
            self._sampler.remember((token,))
        return may_come

    def remember(self, tokens: Sequence[int]) -> None:
        """See `Sampler.remember`."""
        self._sampler.remember(tokens)

    def close(self) -> None:
        """Give the chain back."""
        self._sampler.close()
