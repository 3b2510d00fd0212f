"""Which sequence gets how many tokens in the next step. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inglenook.engine.worker.budget import CHUNK_TOKENS


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a step: the next ``tokens`` tokens of one sequence."""

    sequence: int
    tokens: int


def plan_step(pending: Mapping[int, int], prefill_tokens: int) -> list[Share]:
    """Share one step out: every decoding sequence first, then newcomers' prompts.

    Args:
        pending: Tokens each sequence still has to compute, in order of arrival. One token means it
            is decoding (or at its prompt's last token, which costs the same).
        prefill_tokens: Prompt tokens this step may hold in all, from the step budget.

    Returns:
        Shares in batch order. Newcomers get even parts, in whole chunks or to their prompt's end,
        the shortest first; what one leaves over goes to the next. So a short prompt never waits for
        a long one, and if there are more newcomers than chunks, those with the least to do get on.
    """
    shares = [Share(sequence, 1) for sequence, tokens in pending.items() if tokens == 1]
    newcomers = sorted(
        ((tokens, sequence) for sequence, tokens in pending.items() if tokens > 1),
        key=lambda newcomer: newcomer[0],
    )
    room = prefill_tokens
    for index, (tokens, sequence) in enumerate(newcomers):
        even = room // (len(newcomers) - index)
        part = min(tokens, max(even // CHUNK_TOKENS, 1) * CHUNK_TOKENS)
        if part > room:
            break
        shares.append(Share(sequence, part))
        room -= part
    return shares


def prompt_tokens(shares: Iterable[Share]) -> int:
    """How many of a step's tokens are prefill; a single one costs what decoding costs."""
    return sum(share.tokens for share in shares if share.tokens > 1)
