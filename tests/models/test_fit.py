"""How much context ``auto`` is, and what may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.errors import StartupError
from inglenook.models.fit import choose_context
from inglenook.models.info import KvType, ModelInfo

MIB = 2**20

# 32 KiB of f16 cache a token: 8192 of them are 256 MiB.
INFO = ModelInfo(
    path=Path("model.gguf"),
    file_bytes=100 * MIB,
    name="Model",
    architecture="llama",
    quantization="Q4_K_M",
    context_length=4096,
    block_count=16,
    embedding_length=1024,
    head_count=16,
    head_count_kv=(8,) * 16,
    key_length=64,
    value_length=64,
    vocab_size=1000,
    chat_template="{{ messages }}",
    parameter_count=200_000_000,
)


@pytest.mark.parametrize(
    ("sequences", "kv_type", "available_mib", "cells"),
    [
        (8, "f16", None, 8192),  # memory unknown
        (8, "f16", 4096, 8192),  # plenty
        (1, "f16", 4096, 4096),  # what one sequence was trained on
        (8, "f16", 100 + 2 * 256, 8192),  # just enough: half of the rest
        (8, "f16", 100 + 2 * 256 - 1, 7936),  # a little less, down to a multiple of 256
        (8, "f16", 100 + 2 * 64, 2048),
        (8, "q8_0", 100 + 2 * 64, 3840),  # 34 bytes for 32 elements instead of 64
        (8, "f16", 100 + 2 * 10, 512),  # 320 would fit; less than 512 is no use
        (8, "f16", 50, 512),  # not even the weights fit
    ],
)
def test_auto_is_the_least_of_three(
    sequences: int, kv_type: KvType, available_mib: int | None, cells: int
) -> None:
    """Enough for a household, no more than can be used, no more than fits."""
    available_bytes = None if available_mib is None else available_mib * MIB

    chosen = choose_context(
        INFO,
        requested=None,
        kv_type=kv_type,
        sequences=sequences,
        available_bytes=available_bytes,
    )

    assert chosen == cells


@pytest.mark.parametrize("requested", [256, 1000, 32768])
def test_an_explicit_number_is_taken_as_it_is(requested: int) -> None:
    """Whoever writes a number has their reasons, and no memory check overrules them."""
    chosen = choose_context(
        INFO, requested=requested, kv_type="f16", sequences=8, available_bytes=MIB
    )

    assert chosen == requested


@pytest.mark.parametrize("requested", [-1, 0, 255, 32769])
def test_an_impossible_number_is_refused_with_the_range(requested: int) -> None:
    """The sentence says what was asked for and what may be."""
    with pytest.raises(StartupError, match=rf"{requested} is not between 256 and 32768"):
        choose_context(INFO, requested=requested, kv_type="f16", sequences=8, available_bytes=None)
