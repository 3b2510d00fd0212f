"""Number of sequences of a KV pool, for the preflight and the worker alike. Kind: rules."""

from __future__ import annotations

from typing import Final

#: The library's ``LLAMA_MAX_SEQ``.
SEQUENCES_MAX: Final = 256

#: Least number of retained sequences; otherwise as many as may run at once. They share the pool's
#: cells and cost only a row of the tables.
_RETAINED_LEAST: Final = 4


def pool_sequences(answers: int, *, running_states: bool) -> int:
    """Return the number of sequences of a context (``n_seq_max``).

    Args:
        answers: Number of answers that may run at once.
        running_states: The model has layers (recurrent ones, short convolutions) with a state for
            each possible sequence, of up to 135 MB. Such a state cannot be cut, so retaining it in
            the pool gains nothing over retaining it outside: one number more is enough.
    """
    if running_states:
        return min(answers + 1, SEQUENCES_MAX)
    # One more, for moving blocks.
    return min(answers + max(answers, _RETAINED_LEAST) + 1, SEQUENCES_MAX)
