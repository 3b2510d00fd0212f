"""How many prompt tokens fit into one step. Kind: rules."""

from __future__ import annotations

#: Chunks are multiples of this: the kernels of llama.cpp work on rows in blocks, and a chunk cut at a
#: multiple gives the same numbers as one cut at another, so an answer does not depend on the clock.
CHUNK_TOKENS = 32

#: Without a reader nobody feels a long step, but cancel and shutdown wait for its end.
ALONE_STEP_S = 0.8

#: Weight of the newest measurement; a board that throttles is noticed within some ten steps.
_NEWEST = 0.2


class StepBudget:
    """Learns what a step costs, ``fixed + per_token x tokens``, and says how many tokens to take."""

    def __init__(self, step_budget_s: float) -> None:
        """Take how long a step may last while somebody reads along, in seconds."""
        self._step_budget_s = step_budget_s
        self._decode_step_s: float | None = None
        self._prefill_token_s: float | None = None

    def measured(self, prefill_tokens: int, decode_tokens: int, step_s: float) -> None:
        """Learn from one finished step."""
        if prefill_tokens == 0:
            self._decode_step_s = _blend(self._decode_step_s, step_s)
            return
        base_s = (self._decode_step_s or 0.0) if decode_tokens else 0.0
        per_token_s = max(step_s - base_s, step_s * 0.1) / prefill_tokens
        self._prefill_token_s = _blend(self._prefill_token_s, per_token_s)

    def prefill_tokens(self, *, decoding: bool, most: int) -> int:
        """Say how many prompt tokens the next step may take, a multiple of `CHUNK_TOKENS` up to ``most``.

        At least one chunk is granted even if it does not fit: a newcomer must get on too.
        """
        if self._prefill_token_s is None:
            # Nothing measured yet. A slow board does 128 tokens in some three seconds, once.
            want = CHUNK_TOKENS if decoding else 4 * CHUNK_TOKENS
        else:
            spare_s = ALONE_STEP_S
            if decoding:
                spare_s = self._step_budget_s - (self._decode_step_s or 0.0)
            want = int(max(spare_s, 0.0) / self._prefill_token_s)
        chunks = max(want // CHUNK_TOKENS, 1)
        return min(chunks * CHUNK_TOKENS, most)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else old + _NEWEST * (new - old)
