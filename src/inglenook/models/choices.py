"""Size of the ``auto`` context, and number of answers at once. Kind: rules."""

from __future__ import annotations

import bisect
from dataclasses import replace

from inglenook.models.footprint import Running, footprint
from inglenook.models.info import ModelInfo

#: Least useful context.
LEAST_AUTO_CELLS = 512

#: One long conversation, some 3,000 words: goes before any cache.
_ONE_TALK_CELLS = 4096

#: `auto` aims at this even if the model was trained for less, because sequences share it.
_PLENTY_CELLS = 8192

#: `auto` never takes more, however much was trained and is free: a household fills this seldom, and
#: a small board, at 50 tokens a second, reads for ten minutes to do it.
_MOST_AUTO_CELLS = 32_768

_GRAIN_CELLS = 256  # llama.cpp pads its KV cache to multiples of this

#: Running states may have this part of what is free beside the model, one in so many, where `auto`
#: chooses the context too: answers at once are worth less than long talks, and others can wait.
_STATES_PART = 4


def choose_sequences(
    info: ModelInfo, running: Running, cells: int | None, budget_bytes: int
) -> int:
    """Choose the number of answers at once: as requested, or fewer because of running states.

    Args:
        info: The model.
        running: How it is to be run; its ``sequences`` are the maximum.
        cells: The requested context, which has priority; None is ``auto``.
        budget_bytes: Memory for the model in all.

    Returns:
        At least 1, whether that fits or not.
    """
    if not info.state_bytes:
        return running.sequences

    def total_bytes(sequences: int) -> int:
        return footprint(info, replace(running, sequences=sequences), cells or 0).total_bytes

    one_bytes = total_bytes(1)
    spare_bytes = (budget_bytes - one_bytes) // (_STATES_PART if cells is None else 1)
    fitting = (
        sequences
        for sequences in range(running.sequences, 1, -1)
        if total_bytes(sequences) - one_bytes <= spare_bytes
    )
    return next(fitting, 1)


def choose_context(info: ModelInfo, running: Running, budget_bytes: int) -> int:
    """Choose the ``auto`` context: a multiple of 256, at least 512, whether that fits or not.

    The pool may have half of the memory left beside the model, or, up to 4,096 tokens, all of it.
    The other half is for the prefix cache and for the kernel's own caches: what the pool has no
    place for is then brought back from there rather than computed.

    Args:
        info: The model.
        running: How it is to be run.
        budget_bytes: Memory for it in all.
    """
    trained_cells = info.context_length
    most_cells = min(
        _MOST_AUTO_CELLS, max(_PLENTY_CELLS, trained_cells), trained_cells * running.sequences
    )
    bare_bytes = footprint(info, running, 0).total_bytes
    half_bytes = bare_bytes + (budget_bytes - bare_bytes) // 2
    return max(
        LEAST_AUTO_CELLS,
        largest_context(info, running, most_cells, half_bytes),
        largest_context(info, running, min(most_cells, _ONE_TALK_CELLS), budget_bytes),
    )


def largest_context(info: ModelInfo, running: Running, most_cells: int, budget_bytes: int) -> int:
    """Return the largest pool within a budget; 0 if there is no useful one."""
    sizes = range(_GRAIN_CELLS, most_cells + 1, _GRAIN_CELLS)

    def total_bytes(cells: int) -> int:
        return footprint(info, running, cells).total_bytes

    fitting = bisect.bisect_right(sizes, budget_bytes, key=total_bytes)
    largest = sizes[fitting - 1] if fitting else 0
    return largest if largest >= LEAST_AUTO_CELLS else 0


def modest_context(most_cells: int) -> int:
    """Choose the ``auto`` context if the size of the memory is unknown."""
    return max(LEAST_AUTO_CELLS, min(_PLENTY_CELLS, most_cells) // _GRAIN_CELLS * _GRAIN_CELLS)
