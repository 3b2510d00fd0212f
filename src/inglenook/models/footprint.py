"""Memory of a running model. Kind: rules.

Compared with the log lines of llama-cpp-python 0.3.36, for the published shapes of 34
models of as many kinds. The pool and the running states are exact. The compute buffer is exact for
most and 11 % too low to 23 % too high for others, so an eighth is added.
"""

from __future__ import annotations

from dataclasses import dataclass

from inglenook.common.sequences import pool_sequences
from inglenook.models.info import KvType, ModelInfo

_F32_BYTES, _F16_BYTES = 4, 2

#: Python, the library, its threads' stacks and working buffers: 42 MiB before any model, and some
#: 16 more where what it allocates comes in huge pages (`engine.environment`), the last of each
#: partly unused. 5 are for what differs from run to run: of small models it was within 1 %.
_PROGRAM_BYTES = 63 * 2**20

#: Tokens of one answer in one step, with those that were guessed.
_GUESSED = 8

#: What the library's tables have of a token, and of a pair of tokens that it merges.
_TOKEN_BYTES, _MERGE_BYTES = 160, 130


#: What the library plans a pass with, a node for each operation; the first thousand are part of
#: what every process takes.
_NODE_BYTES, _NODES_LEAST = 1200, 1024

#: Those for which it plans with more: so many for each token of a pass, or each tensor.
_MANY_NODES = frozenset(
    {
        "bailingmoe3",
        "deepseek4",
        "hy_v4",
        "kimi-linear",
        "minimax-01",
        "minimax-m3",
        "nanbeige",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "qwen4exp",
    }
)
_NODES_A_TOKEN, _NODES_A_TENSOR, _NODES_A_TENSOR_USUALLY = 40, 32, 8


@dataclass(frozen=True, slots=True)
class Running:
    """Settings of a running model that its memory depends on.

    Attributes:
        sequences: Number of answers that may run at once.
        kv_type: Type of the pool's cells.
        ubatch_tokens: Tokens that the library computes in one pass through the weights.
        flash_attention: Attention scores are never written out.
        speculate: Drafts are computed, too, and each token of one has its logits.
    """

    sequences: int
    kv_type: KvType = "f16"
    ubatch_tokens: int = 512
    flash_attention: bool = True
    speculate: bool = False


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory of a model.

    Attributes:
        weights_bytes: Mapped from the file, or copied from it; it must stay in memory either way,
            or each token would be read from the disk.
        kv_bytes: The pool.
        work_bytes: Everything else: compute buffers and the process itself.
        states_bytes: Running states, of all possible sequences.
    """

    weights_bytes: int
    kv_bytes: int
    work_bytes: int
    states_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The sum."""
        return self.weights_bytes + self.kv_bytes + self.states_bytes + self.work_bytes


def footprint(info: ModelInfo, running: Running, cells: int) -> Footprint:
    """Return a model's memory with a pool of this number of cells, one per token."""
    tables_bytes = info.vocab_size * _TOKEN_BYTES + info.merges * _MERGE_BYTES
    kv_bytes = info.kv_bytes_per_token(running.kv_type, flash_attention=running.flash_attention)
    return Footprint(
        weights_bytes=info.weights_bytes,
        kv_bytes=cells * kv_bytes,
        states_bytes=_sequences(info, running) * info.state_bytes,
        work_bytes=_PROGRAM_BYTES
        + tables_bytes
        + (_nodes(info, running) - _NODES_LEAST) * _NODE_BYTES
        + compute_bytes(info, running, cells) * 9 // 8,
    )


def compute_bytes(info: ModelInfo, running: Running, cells: int) -> int:
    """Return the size of llama.cpp's compute and output buffers.

    The first is the most that is alive at any point of one pass: in the feed-forward part of a
    layer, in its attention if that writes its scores out, in a recurrent layer with the states that
    it reads and writes, or where the last layer becomes scores of every token in the vocabulary.
    """
    sequences = _sequences(info, running)
    # The library plans for as many tokens of each sequence.
    tokens = -(-min(running.ubatch_tokens, cells) // sequences) * sequences
    alive = tokens * max(_rows(info, running, cells))
    if info.state_bytes:
        inside = 3 * info.embedding_length + info.layer_state.state_width
        alive = max(alive, tokens * inside + sequences * info.layer_state.moved_numbers)
    alive += tokens * info.beside_length
    mask_bytes = cells * (_F16_BYTES if running.flash_attention else _F32_BYTES)
    layer_bytes = alive * _F32_BYTES + tokens * mask_bytes * (2 if info.layer_state.windows else 1)
    outputs = max(sequences, running.sequences * _GUESSED if running.speculate else 0)
    scores_bytes = min(outputs, tokens) * info.vocab_size * _F32_BYTES
    output_bytes = scores_bytes + (tokens + outputs) * info.embedding_length * _F32_BYTES
    return max(layer_bytes, output_bytes) + outputs * info.vocab_size * _F32_BYTES


def _sequences(info: ModelInfo, running: Running) -> int:
    return pool_sequences(running.sequences, running_states=info.state_bytes > 0)


def _rows(info: ModelInfo, running: Running, cells: int) -> tuple[int, ...]:
    """Return the numbers that one token has alive at once, at the places with most."""
    width, queries = info.embedding_length, info.query_length
    keys, values = map(max, zip((0, 0), *info.layer_state.kv_rows, strict=True))
    feed_forward = 3 * width + max(width, queries) + 3 * info.feed_forward_length
    experts = (
        2 * info.experts_used * (width + info.feed_forward_length // max(info.experts_used, 1))
    )
    attention = 3 * width + 2 * queries + 2 * (keys + values)
    if not running.flash_attention:
        attention += cells * info.head_count
    return feed_forward, experts, attention


def _nodes(info: ModelInfo, running: Running) -> int:
    """Return the library's limit of operations in one pass (``graph_max_nodes``)."""
    if info.architecture in _MANY_NODES:
        tokens = running.ubatch_tokens * _NODES_A_TOKEN
        return max(tokens, info.tensor_count * _NODES_A_TENSOR)
    return max(_NODES_LEAST, info.tensor_count * _NODES_A_TENSOR_USUALLY)
