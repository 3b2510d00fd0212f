"""How many sequences a pool is made for: what is counted is what is made. Kind: rules."""

from __future__ import annotations

from typing import Final

#: The library's ``LLAMA_MAX_SEQ``.
SEQUENCES_MAX: Final = 256

#: Numbers for what is kept of ended answers: as many again as may be written at once, and never
#: fewer than this. They share the pool's cells, and cost nothing but a row of the tables.
_KEPT_LEAST: Final = 4


def pool_sequences(answers: int, *, running_states: bool) -> int:
    """Say for how many sequences the library makes room in a context.

    Args:
        answers: How many may be written at once.
        running_states: The model has layers (recurrent ones, short convolutions) that keep a state
            for every sequence there may be, of up to 135 MB each. Such a state cannot be cut, so
            what is kept in the pool is no more than what is kept outside: one number beside the
            answers' does.
    """
    if running_states:
        return min(answers + 1, SEQUENCES_MAX)
    # And one for moving blocks.
    return min(answers + max(answers, _KEPT_LEAST) + 1, SEQUENCES_MAX)
