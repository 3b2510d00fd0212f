"""From a sound header to a description; what is refused is in test_inspect.py."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from inglenook.models.describe import describe
from inglenook.models.gguf.read import read_header
from inglenook.models.info import LayerState, ModelInfo
from tests.parts.gguf_files import (
    PARAMETERS,
    TEMPLATE,
    TOKENS,
    WIDTH,
    model_bytes,
    small_model,
)


def described(data: bytes) -> ModelInfo:
    return describe(
        Path("/models/file-name.gguf"), len(data), read_header(io.BytesIO(data), len(data))
    )


def test_everything_is_described() -> None:
    """Each field comes from where llama.cpp takes it."""
    assert described(small_model()) == ModelInfo(
        path=Path("/models/file-name.gguf"),
        file_bytes=len(small_model()),
        name="Small Test Model",
        architecture="llama",
        quantization="Q4_0",
        context_length=256,
        block_count=1,
        embedding_length=32,
        beside_length=0,
        feed_forward_length=32,
        experts_used=0,
        head_count=2,
        query_length=32,
        layer_state=LayerState(((16, 16),)),
        vocab_size=len(TOKENS),
        merges=0,
        chat_template=TEMPLATE,
        tensor_count=11,
        parameter_count=PARAMETERS,
        # Its norms are F32, the rest Q4_0; the embedding is its output as well, and copied.
        weights_bytes=3 * WIDTH * 4 + (PARAMETERS - 3 * WIDTH + len(TOKENS) * WIDTH) // 32 * 18,
    )


@pytest.mark.parametrize("plain", [None, ["a list"]])
def test_the_template_for_chats_may_be_there_by_its_name_alone(plain: object) -> None:
    """Beside others, of which none is for chats."""
    named = {
        "tokenizer.chat_template": plain,
        "tokenizer.chat_template.tool_use": "{{ tools }}",
        "tokenizer.chat_template.default": TEMPLATE,
    }
    assert described(model_bytes(named)).chat_template == TEMPLATE


def test_what_may_be_left_out_has_llama_cpps_defaults() -> None:
    """As many key/value heads as heads; no name but the file's; no quantization named."""
    info = described(
        model_bytes(
            {
                "general.name": None,
                "general.file_type": None,
                "llama.attention.head_count_kv": None,
                "tokenizer.ggml.scores": None,
                "tokenizer.ggml.token_type": None,
            }
        )
    )

    assert (info.name, info.quantization) == ("file-name", "unknown")
    assert info.layer_state == LayerState(((32, 32),))


def test_what_is_given_overrides_what_is_derived() -> None:
    """Key and value length need not be the width divided by the heads; nor all layers be alike."""
    info = described(
        model_bytes(
            {
                "llama.block_count": 3,
                "llama.attention.head_count": [2, 4, 4],
                "llama.attention.head_count_kv": [2, 0, 1],
                "llama.attention.key_length": 24,
                "llama.attention.value_length": 8,
            }
        )
    )

    assert (info.head_count, info.query_length) == (4, 96)
    assert info.layer_state == LayerState(((48, 16), (24, 8)))
    assert info.kv_bytes_per_token("f16") == 3 * (24 + 8) * 2


def test_a_mixture_of_experts_is_welcome() -> None:
    """Some experts of several, for each token, is what such a model uses."""
    info = described(model_bytes({"llama.expert_count": 8, "llama.expert_used_count": 2}))

    assert info.parameter_count == PARAMETERS
    assert info.feed_forward_length == 2 * 32


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({"feed_forward_length": None}, 4 * WIDTH),
        ({"feed_forward_length": [96, 64], "block_count": 2}, 96),
        ({"expert_count": 8, "expert_used_count": 4, "expert_feed_forward_length": 16}, 64),
        ({"expert_count": 8, "expert_used_count": 1, "expert_feed_forward_length": 16}, 32),
    ],
)
def test_the_widest_row_of_any_layer_counts(changes: dict[str, object], length: int) -> None:
    """Layers may differ, and experts that see the same token are there together."""
    info = described(model_bytes({f"llama.{key}": value for key, value in changes.items()}))

    assert info.feed_forward_length == length


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Two\n lines\x1b[2J ", "Two lines [2J"),
        ("x" * 500, "x" * 80),
        ("\n", "file-name"),
        ("Größe 1.5", "Größe 1.5"),
    ],
)
def test_a_name_fits_on_a_line(name: str, shown: str) -> None:
    """Names go to terminals, pages and mDNS; control characters do not."""
    assert described(model_bytes({"general.name": name})).name == shown


def test_an_unknown_mix_of_formats_is_called_unknown() -> None:
    """A newer quantization is no reason to refuse a file whose tensors we know."""
    assert described(model_bytes({"general.file_type": 999})).quantization == "unknown"
