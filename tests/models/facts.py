"""A model as the rules know it, without a file."""

from __future__ import annotations

from pathlib import Path

from inglenook.models.info import LayerState, ModelInfo

#: 32 KiB of f16 cache a token: 8192 of them are 256 MiB.
INFO = ModelInfo(
    path=Path("model.gguf"),
    file_bytes=100 * 2**20,
    name="Model",
    architecture="llama",
    quantization="Q4_K_M",
    context_length=4096,
    block_count=16,
    embedding_length=1024,
    beside_length=0,
    feed_forward_length=4096,
    experts_used=0,
    head_count=16,
    query_length=1024,
    layer_state=LayerState(((512, 512),) * 16),
    vocab_size=1000,
    merges=900,
    chat_template="{{ messages }}",
    tensor_count=146,
    parameter_count=200_000_000,
    weights_bytes=100 * 2**20,
)
