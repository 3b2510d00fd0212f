"""How many tokens of context fit. Kind: rules."""

from __future__ import annotations

from inglenook.errors import StartupError
from inglenook.models.info import KvType, ModelInfo

AUTO_CELLS = 8192
LEAST_AUTO_CELLS = 512
LEAST_CELLS = 256
_GRAIN_CELLS = 256  # llama.cpp pads its KV cache to multiples of this


class ContextError(StartupError):
    """``model.context`` asks for more or less than the model can hold.

    Attributes:
        requested: Cells asked for.
        most_cells: What all sequences together can use.
    """

    def __init__(self, requested: int, most_cells: int) -> None:
        super().__init__(requested, most_cells)
        self.requested = requested
        self.most_cells = most_cells

    def __str__(self) -> str:
        return (
            f"model.context: {self.requested} is not between {LEAST_CELLS} and {self.most_cells},"
            " the context the model was trained on times engine.max_sequences; write a number in"
            " that range, or auto"
        )


def choose_context(
    info: ModelInfo,
    *,
    requested: int | None,
    kv_type: KvType,
    sequences: int,
    available_bytes: int | None,
) -> int:
    """Choose the number of KV cells, one a token, that all sequences share.

    ``auto`` takes the least of three: 8192; what the sequences can use; what fits when the cache
    may take half of the memory left beside the weights, the other half being for compute buffers,
    prefix cache and everybody else. It is a multiple of 256 and never below 512: less is no use,
    and a box without even that is the memory governor's to refuse.

    Args:
        info: The model.
        requested: Cells from the settings, taken as they are; None is ``auto``.
        kv_type: Format of the cache.
        sequences: How many share it.
        available_bytes: Memory free before the model is loaded; None if unknown, and then ignored.

    Raises:
        ContextError: If ``requested`` is below 256 or above what the sequences can use.
    """
    most_cells = info.context_length * sequences
    if requested is not None:
        if not LEAST_CELLS <= requested <= most_cells:
            raise ContextError(requested, most_cells)
        return requested
    cells = min(AUTO_CELLS, most_cells)
    if available_bytes is not None:
        cache_bytes = (available_bytes - info.file_bytes) // 2
        cells = min(cells, cache_bytes // info.kv_bytes_per_token(kv_type))
    return max(LEAST_AUTO_CELLS, cells // _GRAIN_CELLS * _GRAIN_CELLS)
