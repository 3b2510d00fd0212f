"""How many tokens of each sequence the next step computes. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: In every fourth step the oldest prefill goes first, however long its prompt is.
_OLDEST_EVERY: Final = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sequence with tokens to compute.

    Attributes:
        sequence: Its number.
        tokens: Number of pending tokens, up to the next saved state.
        decoding: It is an answer with one pending token.
        idle: It is a speculative prefill.
        steps_waited: Steps since it was admitted.
    """

    sequence: int
    tokens: int
    decoding: bool
    idle: bool
    steps_waited: int

    @property
    def comes_first(self) -> bool:
        """Whether it is in every step: it decodes, or will after one token."""
        return self.decoding or (self.tokens == 1 and not self.idle)


@dataclass(frozen=True, slots=True)
class ScheduledTokens:
    """Part of a step: the next ``tokens`` tokens of one sequence.

    Attributes:
        decoding: They have the cost of decoding, not that of prefill.
    """

    sequence: int
    tokens: int
    decoding: bool


def plan_step(candidates: Sequence[Candidate], prefill_tokens: int) -> list[ScheduledTokens]:
    """Divide a step: decoding sequences first, then prefills, speculative ones only if alone.

    The prompt with the fewest tokens left takes all the room it can use, then the next one: two
    prompts prefilled side by side make no first token come sooner. But in every fourth step the
    oldest goes first, so short prompts cannot starve a long one: in steps with room for ``r``
    tokens, a prompt of ``n`` is prefilled after at most ``4 x ceil(n / r)`` steps, and as many for
    each older prompt; younger ones do not count.

    Priority that grows with waiting would do that too, but short prompts would then wait for all of
    a long one.

    Args:
        candidates: Each sequence once, in order of arrival.
        prefill_tokens: Prompt tokens that this step may have, from the step budget.

    Returns:
        Shares in batch order.
    """
    shares = [
        ScheduledTokens(w.sequence, w.tokens, decoding=True) for w in candidates if w.comes_first
    ]
    prefilling = [w for w in candidates if not w.comes_first and not w.idle]
    if not shares and not prefilling:
        prefilling = [w for w in candidates if w.idle]
    room = prefill_tokens
    for candidate in _in_turn(prefilling):
        part = min(candidate.tokens, room)
        if part:
            shares.append(ScheduledTokens(candidate.sequence, part, decoding=False))
            room -= part
    return shares


def decoding_tokens(candidates: Iterable[Candidate]) -> int:
    """Number of decoding rows of the next step."""
    return sum(w.tokens for w in candidates if w.comes_first)


def prefill_tokens(shares: Iterable[ScheduledTokens]) -> int:
    """Number of a step's tokens that are prefill."""
    return sum(share.tokens for share in shares if not share.decoding)


def _in_turn(prefilling: Sequence[Candidate]) -> list[Candidate]:
    oldest = max(prefilling, key=lambda candidate: candidate.steps_waited, default=None)
    favoured = oldest if oldest is not None and oldest.steps_waited % _OLDEST_EVERY == 0 else None
    return sorted(prefilling, key=lambda candidate: (candidate is not favoured, candidate.tokens))
