"""Which sequence gets how many tokens in the next step. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
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
        Shares in batch order. Newcomers get even parts in multiples of the chunk size; what one
        leaves over goes to the next, so a short prompt never waits for a long one.
    """
    decoding = [Share(sequence, 1) for sequence, tokens in pending.items() if tokens == 1]
    newcomers = sorted(
        ((sequence, tokens) for sequence, tokens in pending.items() if tokens > 1),
        key=lambda item: item[1],
    )
    shares = decoding
    room = prefill_tokens
    for index, (sequence, tokens) in enumerate(newcomers):
        if room <= 0:
            break
        even = room // (len(newcomers) - index)
        part = min(tokens, max(even // CHUNK_TOKENS, 1) * CHUNK_TOKENS, room)
        shares.append(Share(sequence, part))
        room -= part
    return shares
