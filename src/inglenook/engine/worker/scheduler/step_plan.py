"""Which sequence gets how many tokens in the next step. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: In every fourth step the newcomer that came first goes first, however long its prompt is.
_OLDEST_EVERY: Final = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sequence that has something to compute.

    Attributes:
        sequence: Its number.
        tokens: How many tokens are pending; of one that is writing, its newest and the drafted.
        decoding: It is writing, and somebody reads along.
        idle: It is read ahead, for a question that may never be asked.
        steps_waited: Steps since it came in.
    """

    sequence: int
    tokens: int
    decoding: bool
    idle: bool
    steps_waited: int

    @property
    def comes_first(self) -> bool:
        """Whether it is in every step: as it is writing, or one cheap token away from that."""
        return self.decoding or (self.tokens == 1 and not self.idle)


@dataclass(frozen=True, slots=True)
class ScheduledTokens:
    """Part of a step: the next ``tokens`` tokens of one sequence.

    Attributes:
        decoding: Whether they cost what decoding costs, or what prompts do.
    """

    sequence: int
    tokens: int
    decoding: bool


def plan_step(candidates: Sequence[Candidate], prefill_tokens: int) -> list[ScheduledTokens]:
    """Share one step out: those who write first, then newcomers' prompts, then what is read ahead.

    The newcomer with the least left to read takes all the room it can use, then the next: nobody's
    first token comes sooner if two prompts are read side by side. But in every fourth step the one
    that came first goes first, so no stream of short prompts holds a long one back: in steps with
    room for ``r`` tokens, a prompt of ``n`` is read after ``4 x ceil(n / r)`` steps at most, and as
    many for each prompt that was there before it; those that come later do not count.

    Priority that grows with waiting would do that too, but once it is the highest, short prompts
    would wait for all of a long one.

    Args:
        wanting: Each sequence once, in order of arrival.
        prefill_tokens: Prompt tokens this step may hold in all, from the step budget.

    Returns:
        Shares in batch order. What is read ahead has one only if nobody else has.
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
    """How many rows the next step has before any prompt token."""
    return sum(w.tokens for w in candidates if w.comes_first)


def prefill_tokens(shares: Iterable[ScheduledTokens]) -> int:
    """How many of a step's tokens are prefill."""
    return sum(share.tokens for share in shares if not share.decoding)


def _in_turn(prefilling: Sequence[Candidate]) -> list[Candidate]:
    oldest = max(prefilling, key=lambda candidate: candidate.steps_waited, default=None)
    favoured = oldest if oldest is not None and oldest.steps_waited % _OLDEST_EVERY == 0 else None
    return sorted(prefilling, key=lambda candidate: (candidate is not favoured, candidate.tokens))
