"""How many prompt tokens fit into one step. Kind: rules."""

from __future__ import annotations

#: Prompts are cut into multiples of this. Every step costs something whatever it computes: the
#: starter model reads 256 tokens in 1.9 s by chunks of 64 or more, in 2.3 s by 32, in 2.6 s by 4
#: (one x86 core); larger models, whose weights come from slow memory, lose more.
#:
#: A prompt cut otherwise can get an answer in other words: sums are rounded otherwise where
#: llama.cpp takes another kernel for more rows, as attention over f16 does from 64 on.
CHUNK_TOKENS = 32

#: Without a reader nobody feels a long step, but cancel and shutdown wait for its end.
ALONE_STEP_S = 0.8

#: Weight of the newest measurement; a board that throttles is noticed within some ten steps.
_NEWEST = 0.2


class StepBudget:
    """Learns what a step costs, ``fixed + per_token x tokens``, and how many tokens fit into one.

    What a step costs that only decodes, the weights' way through memory, is its fixed part.
    """

    def __init__(self, step_budget_s: float) -> None:
        """Take how long a step may last while somebody reads along, in seconds."""
        self._step_budget_s = step_budget_s
        self._fixed_s: float | None = None
        self._per_token_s: float | None = None

    def measured(self, prefill_tokens: int, step_s: float) -> None:
        """Learn from one finished step, in which decoding tokens do not count."""
        if prefill_tokens == 0:
            self._fixed_s = _blend(self._fixed_s, step_s)
            return
        # Never nothing: a step can be quicker than those the fixed part was learned from.
        tokens_s = max(step_s - (self._fixed_s or 0.0), step_s * 0.1)
        self._per_token_s = _blend(self._per_token_s, tokens_s / prefill_tokens)

    def prefill_tokens(self, *, decoding: bool, most: int) -> int:
        """Say how many prompt tokens the next step may take: whole chunks, up to ``most`` tokens.

        At least one chunk is granted even if it takes too long: a newcomer must get on too.
        """
        if self._per_token_s is None:
            # Nothing measured yet. A slow board does 128 tokens in some three seconds, once.
            want = CHUNK_TOKENS if decoding else 4 * CHUNK_TOKENS
        else:
            step_s = self._step_budget_s if decoding else ALONE_STEP_S
            want = int(max(step_s - (self._fixed_s or 0.0), 0.0) / self._per_token_s)
        return min(max(want, CHUNK_TOKENS), most) // CHUNK_TOKENS * CHUNK_TOKENS


def _blend(old: float | None, new: float) -> float:
    return new if old is None else old + _NEWEST * (new - old)
