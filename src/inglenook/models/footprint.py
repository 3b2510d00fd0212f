"""How much memory a model takes while it runs. Kind: rules.

The numbers of the compute buffer are fitted to llama.cpp's own log lines: nine models of 135 M to
2.6 B parameters and very different shapes, 2,048 to 32,768 cells, 1 to 64 sequences, with
llama-cpp-python 0.3.36. They are exact for Llama and Qwen2 as they come (at most 16 % too high for
odd shapes), and 2 to 22 % too low for Gemma 2, whose two kinds of layers have a mask each. A tenth
is added for what was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from inglenook.models.info import KvType, ModelInfo

_F32_BYTES, _F16_BYTES = 4, 2

#: Python, the library, its threads' stacks and working buffers: 42 MiB before any model, and up to
#: 24 more where what it allocates comes in huge pages (`engine.environment`), the last of each
#: partly unused.
_PROGRAM_BYTES = 80 * 2**20

#: A token in the library's tables: 350 with merges, as the starter model has, 150 without.
_TOKEN_BYTES = 350


@dataclass(frozen=True, slots=True)
class Running:
    """How a model is run, as far as it takes memory.

    Attributes:
        sequences: How many answers may be written at once.
        kv_type: Type of the pool's cells.
        ubatch_tokens: How many tokens the library computes in one pass through the weights.
        flash_attention: Scores of attention are never written out.
    """

    sequences: int
    kv_type: KvType = "f16"
    ubatch_tokens: int = 512
    flash_attention: bool = True


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model takes.

    Attributes:
        weights_bytes: Mapped from the file, or copied out of it; it must stay in memory either way,
            or every token would be read from the disk.
        kv_bytes: The pool.
        work_bytes: Everything else: compute buffers and the process itself.
    """

    weights_bytes: int
    kv_bytes: int
    work_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.work_bytes


def footprint(info: ModelInfo, running: Running, cells: int) -> Footprint:
    """Say what a model takes with a pool of so many cells, one a token."""
    process_bytes = _PROGRAM_BYTES + info.vocab_size * _TOKEN_BYTES
    return Footprint(
        weights_bytes=info.weights_bytes,
        kv_bytes=cells * info.kv_bytes_per_token(running.kv_type),
        work_bytes=process_bytes + compute_bytes(info, running, cells) * 11 // 10,
    )


def compute_bytes(info: ModelInfo, running: Running, cells: int) -> int:
    """Say how large llama.cpp's compute and output buffers are.

    The first is the most that is alive at any point of one pass: in the feed-forward part of a
    layer, in its attention if that writes its scores out, or where the last layer becomes scores of
    every token in the vocabulary.
    """
    width, tokens = info.embedding_length, min(running.ubatch_tokens, cells)
    rows = 4 * width + 3 * info.feed_forward_length
    mask_bytes = cells * _F16_BYTES
    if not running.flash_attention:
        queries = info.head_count * info.key_length
        keys = max(info.head_count_kv) * info.key_length
        rows = max(rows, 3 * width + 2 * queries + 2 * keys + cells * info.head_count)
        mask_bytes = cells * _F32_BYTES
    layer_bytes = tokens * (rows * _F32_BYTES + mask_bytes)
    scores_bytes = running.sequences * info.vocab_size * _F32_BYTES
    output_bytes = scores_bytes + (tokens + running.sequences) * width * _F32_BYTES
    return max(layer_bytes, output_bytes) + scores_bytes
