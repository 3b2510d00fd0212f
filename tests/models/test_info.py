"""The size of the KV cache, and the sentence of a bad file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.models.info import KvType, LayerState, ModelFileError, ModelInfo, quoted
from tests.models.facts import INFO


@pytest.mark.parametrize(
    ("heads_kv", "length", "kv_type", "kv_bytes"),
    [
        ((2,) * 28, 128, "f16", 28 * 1024),  # Qwen2 1.5B
        ((3,) * 30, 64, "f16", 23_040),  # SmolLM2 135M
        ((3,) * 30, 64, "q8_0", 12_240),
        ((0, 8, 0, 4), 64, "f16", 3072),  # layers without attention
        ((1,), 16, "q8_0", 68),  # a row of half a block takes a whole one
    ],
)
def test_a_token_takes_keys_and_values_in_every_layer(
    heads_kv: tuple[int, ...], length: int, kv_type: KvType, kv_bytes: int
) -> None:
    """Known models have known sizes; q8_0 takes 34 bytes for 32 elements."""
    rows = tuple((heads * length, heads * length) for heads in heads_kv if heads)
    info = replace(INFO, layer_state=LayerState(rows))

    assert info.kv_bytes_per_token(kv_type) == kv_bytes


def test_keys_and_values_may_differ_in_length() -> None:
    """DeepSeek's keys, for one, are longer than its values; a latent row stands for both."""
    assert _taking((192, 128), (192, 128)).kv_bytes_per_token("f16") == 2 * (192 + 128) * 2
    assert _taking((576, 0)).kv_bytes_per_token("f16") == 576 * 2


def test_without_flash_attention_values_are_as_wide_as_the_widest() -> None:
    """Gemma 4 has layers of two widths; the library pads its values to one."""
    info = _taking((512, 512), (256, 256))

    assert info.kv_bytes_per_token("f16") == 2 * 2 * (512 + 256)
    assert info.kv_bytes_per_token("f16", flash_attention=False) == 2 * (512 + 512 + 256 + 512)


def test_a_running_state_is_kept_in_full_precision() -> None:
    """Whatever the type of the pool's cells is."""
    assert replace(INFO, layer_state=LayerState((), 1000)).state_bytes == 4000
    assert INFO.state_bytes == 0


def _taking(*rows: tuple[int, int]) -> ModelInfo:
    return replace(INFO, layer_state=LayerState(rows))


def test_the_sentence_says_what_where_and_what_to_do() -> None:
    """One sentence for the operator, made from data that code can read."""
    error = ModelFileError(Path("/models/a.gguf"), "is empty")

    assert str(error) == "cannot use the model file /models/a.gguf: it is empty; download it again"
    assert (error.path, error.reason) == (Path("/models/a.gguf"), "is empty")


def test_text_from_a_file_is_shown_escaped_and_short() -> None:
    """A name in a hostile file can neither move the cursor nor flood the terminal."""
    assert quoted("\x1b[2J\n") == r"'\x1b[2J\n'"
    assert quoted("x" * 1000) == repr("x" * 63 + "…")
