"""Models so small that a step takes a millisecond: random weights, one token a byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 2, 1, 96
INNER, STATE, CONVOLUTION, RANK = 2 * WIDTH, 16, 4, 4
TRAINED_TOKENS = 2048

#: Room for an answer that no machine writes to its end before it is stopped: some 10,000 tokens a
#: second are made, and what is told of them and not read holds the engine up long before that.
ENDLESS_TOKENS = 1 << 17

#: ``<unk>``, begin, end; then the bytes.
FIRST_BYTE = 3
VOCAB_TOKENS = FIRST_BYTE + 256


class _Writer(gguf.GGUFWriter):  # type: ignore[misc]  # the library ships no types
    """Writes what all toy models have in common; their answers are noise, the same every time."""

    def __init__(
        self,
        path: Path,
        architecture: str,
        trained_tokens: int = TRAINED_TOKENS,
        more_tokens: Sequence[str] = (),
        *,
        more_control: bool = False,
    ) -> None:
        super().__init__(path, architecture)
        vocab_tokens = VOCAB_TOKENS + len(more_tokens)
        self._random = np.random.default_rng(1)
        self.add_context_length(trained_tokens)
        self.add_embedding_length(WIDTH)
        self.add_block_count(LAYERS)
        self.add_layer_norm_rms_eps(1e-5)
        self.add_tokenizer_model("llama")
        each_byte = [f"<0x{byte:02X}>" for byte in range(256)]
        self.add_token_list(["<unk>", "<s>", "</s>", *each_byte, *more_tokens])
        self.add_token_scores([0.0] * vocab_tokens)
        kinds = gguf.TokenType
        special = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
        more = [kinds.CONTROL if more_control else kinds.USER_DEFINED] * len(more_tokens)
        self.add_token_types([*special, *([kinds.BYTE] * 256), *more])
        self.weights("token_embd.weight", vocab_tokens, WIDTH)
        self.ones("output_norm.weight", WIDTH)
        self.weights("output.weight", vocab_tokens, WIDTH)

    def weights(self, name: str, *shape: int) -> None:
        """Random ones that keep the size of what goes through them."""
        values = self._random.normal(0.0, 1.5 / np.sqrt(shape[-1]), shape)
        self.add_tensor(name, values.astype(np.float32))

    def ones(self, name: str, *shape: int, times: float = 1.0) -> None:
        """The same number everywhere."""
        self.add_tensor(name, np.full(shape, times, np.float32))

    def finish(self) -> None:
        """Write it all."""
        self.write_header_to_file()
        self.write_kv_data_to_file()
        self.write_tensors_to_file()
        self.close()


def write_toy_model(
    path: Path,
    trained_tokens: int = TRAINED_TOKENS,
    more_tokens: Sequence[str] = (),
    *,
    more_control: bool = False,
) -> None:
    """Write one that attends, as nearly all models do; with more tokens for whole words."""
    head = WIDTH // HEADS
    writer = _Writer(path, "llama", trained_tokens, more_tokens, more_control=more_control)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(head)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        writer.ones(f"{block}.attn_norm.weight", WIDTH)
        writer.ones(f"{block}.ffn_norm.weight", WIDTH)
        writer.weights(f"{block}.attn_q.weight", WIDTH, WIDTH)
        writer.weights(f"{block}.attn_k.weight", KV_HEADS * head, WIDTH)
        writer.weights(f"{block}.attn_v.weight", KV_HEADS * head, WIDTH)
        writer.weights(f"{block}.attn_output.weight", WIDTH, WIDTH)
        writer.weights(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        writer.weights(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        writer.weights(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.finish()


def write_recurrent_toy_model(path: Path) -> None:
    """Write one that keeps a running state instead, of which nothing can be cut off again."""
    writer = _Writer(path, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        writer.ones(f"{block}.attn_norm.weight", WIDTH)
        writer.weights(f"{block}.ssm_in.weight", 2 * INNER, WIDTH)
        writer.weights(f"{block}.ssm_conv1d.weight", INNER, CONVOLUTION)
        writer.ones(f"{block}.ssm_conv1d.bias", INNER, times=0.0)
        writer.weights(f"{block}.ssm_x.weight", RANK + 2 * STATE, INNER)
        writer.weights(f"{block}.ssm_dt.weight", INNER, RANK)
        writer.ones(f"{block}.ssm_dt.bias", INNER, times=0.0)
        writer.ones(f"{block}.ssm_a", INNER, STATE, times=-0.2)
        writer.ones(f"{block}.ssm_d", INNER)
        writer.weights(f"{block}.ssm_out.weight", WIDTH, INNER)
    writer.finish()


def write_toy_vocabulary(
    path: Path,
    control: Sequence[str],
    defined: Sequence[str],
    *,
    names_ends: bool = True,
    architecture: str = "llama",
) -> None:
    """Write only a vocabulary: one token a byte, as GPT-2 writes bytes, and special ones.

    With ``names_ends`` the file says which of them begins and ends a text.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(TRAINED_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    # Bytes that are no visible characters are written as those from U+0100 on.
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    each_byte = [*map(chr, visible), *(chr(0x100 + place) for place in range(len(others)))]
    writer.add_token_list([*each_byte, "<end>", *control, *defined])
    kinds = gguf.TokenType
    kinds_of = {
        kinds.NORMAL: 256,
        kinds.CONTROL: 1 + len(control),
        kinds.USER_DEFINED: len(defined),
    }
    writer.add_token_types([kind for kind, count in kinds_of.items() for _ in range(count)])
    writer.add_token_merges(["a a"])
    if names_ends:
        writer.add_bos_token_id(256)
        writer.add_eos_token_id(256)
    writer.add_add_bos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
