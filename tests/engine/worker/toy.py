"""A model so small that a step takes a millisecond: random weights, one token a byte."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 2, 1, 96
TRAINED_TOKENS = 2048

#: ``<unk>``, begin, end; then the bytes.
FIRST_BYTE = 3
VOCAB_TOKENS = FIRST_BYTE + 256


def write_toy_model(path: Path) -> None:
    """Write it as GGUF. Its answers are noise, but the same noise every time."""
    rng = np.random.default_rng(1)
    head = WIDTH // HEADS

    def add_weights(name: str, *shape: int) -> None:
        weights = rng.normal(0.0, 1.5 / np.sqrt(shape[-1]), shape)
        writer.add_tensor(name, weights.astype(np.float32))

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(TRAINED_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))])
    writer.add_token_scores([0.0] * VOCAB_TOKENS)
    kinds = gguf.TokenType
    special = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
    writer.add_token_types([*special, *([kinds.BYTE] * 256)])
    add_weights("token_embd.weight", VOCAB_TOKENS, WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    add_weights("output.weight", VOCAB_TOKENS, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{block}.ffn_norm.weight", np.ones(WIDTH, np.float32))
        add_weights(f"{block}.attn_q.weight", WIDTH, WIDTH)
        add_weights(f"{block}.attn_k.weight", KV_HEADS * head, WIDTH)
        add_weights(f"{block}.attn_v.weight", KV_HEADS * head, WIDTH)
        add_weights(f"{block}.attn_output.weight", WIDTH, WIDTH)
        add_weights(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        add_weights(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add_weights(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
