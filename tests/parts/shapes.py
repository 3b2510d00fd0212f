"""Shapes of published models, as their cards have them: enough to ask how much memory they take.

Names of metadata lack their architecture. There are no weights and no words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from inglenook.models.describe import describe
from inglenook.models.gguf.ggml_types import TENSOR_TYPES
from inglenook.models.gguf.header import (
    INT32,
    STRING,
    VOCABULARY,
    ArrayInfo,
    Header,
    Tensor,
    TokenList,
    Value,
)
from inglenook.models.info import ModelInfo

Fact: TypeAlias = Value | list[int] | list[bool]
Facts: TypeAlias = dict[str, Fact]


@dataclass(frozen=True, slots=True)
class Shape:
    """One published model.

    Attributes:
        name: What people call it.
        architecture: As llama.cpp spells it.
        vocab_tokens: Size of its vocabulary.
        values: Its metadata.
    """

    name: str
    architecture: str
    vocab_tokens: int
    values: Mapping[str, Fact]


def _shape(
    name: str,
    architecture: str,
    vocab_tokens: int,
    layers: int,
    width: int,
    feed_forward: int | list[int],
    heads: int | list[int],
    heads_kv: int | list[int],
    head_length: int,
    more: Mapping[str, Fact] | None = None,
) -> Shape:
    values: Facts = {
        "block_count": layers,
        "context_length": 32_768,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": heads_kv,
        "attention.key_length": head_length,
        "attention.value_length": head_length,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": head_length,
    }
    return Shape(name, architecture, vocab_tokens, values | dict(more or {}))


def _ssm(inner: int, state: int, rank: int, groups: int) -> Facts:
    """Running states of Mamba's kind."""
    return {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": rank,
        "ssm.group_count": groups,
    }


def _moe(count: int, used: int, feed_forward: int) -> Facts:
    return {
        "expert_count": count,
        "expert_used_count": used,
        "expert_feed_forward_length": feed_forward,
    }


def _at(layers: int, where: tuple[int, ...], value: int) -> list[int]:
    """One number in some layers, 0 in the others."""
    return [value if layer in where else 0 for layer in range(layers)]


def _window(tokens: int) -> Facts:
    return {"attention.sliding_window": tokens}


_QWEN35: Final[Facts] = {
    "full_attention_interval": 4,
    "rope.dimension_sections": [11, 11, 10, 0],
    "rope.dimension_count": 64,
}

# Where those that mix them have their attention.
_GRANITE, _GRANITE_SMALL = (5, 15, 25, 35), (10, 13, 17, 27)
_LFM2, _LFM2_LARGE = (2, 5, 8, 10, 12, 14), (2, 6, 10, 14, 18, 21)
_JAMBA, _PLAMO = (13, 27), tuple(range(1, 16, 2))
_NEMOTRON = (14, 21, 30, 39)
_NEMOTRON_STATES = tuple(layer for layer in range(0, 54, 2) if layer not in _NEMOTRON)
_NEMOTRON_WIDE = tuple(set(range(56)) - {*_NEMOTRON, *_NEMOTRON_STATES})

_QWEN35_SMALL = _QWEN35 | _ssm(2048, 128, 16, 16)

SHAPES: Final = (
    _shape("Qwen2.5-1.5B", "qwen2", 151_936, 28, 1536, 8960, 12, 2, 128),
    _shape("Llama-3.2-1B", "llama", 128_256, 16, 2048, 8192, 32, 8, 64),
    _shape("Qwen3-4B", "qwen3", 151_936, 36, 2560, 9728, 32, 8, 128),
    _shape("Qwen3-30B-A3B", "qwen3moe", 151_936, 48, 2048, 6144, 32, 4, 128, _moe(128, 8, 768)),
    _shape("Qwen3.5-0.8B", "qwen35", 248_320, 24, 1024, 3584, 8, 2, 256, _QWEN35_SMALL),
    _shape(
        *("Qwen3.5-0.8B-MTP", "qwen35", 248_320, 25, 1024, 3584, 8, 2, 256),
        more=_QWEN35_SMALL | {"nextn_predict_layers": 1},
    ),
    _shape(
        *("Qwen3.5-4B", "qwen35", 248_320, 32, 2560, 9216, 16, 4, 256),
        more=_QWEN35 | _ssm(4096, 128, 32, 16),
    ),
    _shape(
        *("Qwen3-Next-80B-A3B", "qwen3next", 151_936, 48, 2048, 5120, 16, 2, 256),
        more=_moe(512, 10, 512)
        | _ssm(4096, 128, 32, 16)
        | {"full_attention_interval": 4, "expert_shared_feed_forward_length": 512},
    ),
    _shape("Gemma-2-2B", "gemma2", 256_000, 26, 2304, 9216, 8, 4, 256, _window(4096)),
    _shape("Gemma-3-1B", "gemma3", 262_144, 26, 1152, 6912, 4, 1, 256, _window(512)),
    _shape("Gemma-3-4B", "gemma3", 262_208, 34, 2560, 10_240, 8, 4, 256, _window(1024)),
    _shape(
        *("Gemma-3n-E2B", "gemma3n", 262_400, 30, 2048, 8192, 8, 2, 256),
        more=_window(512) | {"embedding_length_per_layer_input": 256},
    ),
    _shape(
        *("Gemma-4-E2B", "gemma4", 262_144, 35, 1536, [6144] * 15 + [12_288] * 20, 8, 1, 512),
        more=_window(512)
        | {
            "attention.sliding_window_pattern": [layer % 5 != 4 for layer in range(35)],
            "attention.shared_kv_layers": 20,
            "attention.key_length_swa": 256,
            "attention.value_length_swa": 256,
            "rope.dimension_count_swa": 256,
            "embedding_length_per_layer_input": 256,
        },
    ),
    _shape(
        *("LFM2-1.2B", "lfm2", 65_536, 16, 2048, 8192, 32, _at(16, _LFM2, 8), 64),
        more={"shortconv.l_cache": 3},
    ),
    _shape(
        *("LFM2-8B-A1B", "lfm2moe", 65_536, 24, 2048, 7168, 32, _at(24, _LFM2_LARGE, 8), 64),
        more=_moe(32, 4, 1792)
        | {"shortconv.l_cache": 3, "leading_dense_block_count": 2, "expert_gating_func": 2},
    ),
    _shape(
        *("Granite-4.0-H-Micro", "granitehybrid", 100_352, 40, 2048, 8192, 32),
        *(_at(40, _GRANITE, 8), 64, _ssm(4096, 128, 64, 1)),
    ),
    _shape(
        *("Granite-4.0-H-350M", "granitehybrid", 100_352, 32, 768, 2048, 12),
        *(_at(32, _GRANITE_SMALL, 4), 64, _ssm(1536, 128, 48, 1)),
    ),
    _shape(
        *("Falcon-H1-0.5B", "falcon-h1", 32_784, 36, 1024, 2048, 8, 2, 64),
        more=_ssm(1536, 128, 24, 1),
    ),
    _shape(
        *("Nemotron-Nano-9B-v2", "nemotron_h", 131_072, 56, 4480),
        *(_at(56, _NEMOTRON_WIDE, 15_680), 40, _at(56, _NEMOTRON, 8), 128),
        more=_ssm(10_240, 128, 128, 8),
    ),
    _shape(
        *("PLaMo-2-1B", "plamo2", 100_000, 16, 2048, 8192, 16),
        *(_at(16, _PLAMO, 1), 128, _ssm(4096, 64, 32, 0)),
    ),
    _shape(
        *("Jamba-Reasoning-3B", "jamba", 65_536, 28, 2560, 8960, 20, _at(28, _JAMBA, 1), 128),
        more=_ssm(5120, 16, 160, 0),
    ),
    _shape(
        *("gpt-oss-20b", "gpt-oss", 201_088, 24, 2880, 2880, 64, 8, 64),
        more=_window(128) | _moe(32, 4, 2880),
    ),
    _shape(
        *("Command-R7B", "cohere2", 256_000, 32, 4096, 14_336, 32, 8, 128),
        more=_window(4096) | {"logit_scale": 0.25},
    ),
    _shape("SmolLM3-3B", "smollm3", 128_256, 36, 2048, 11_008, 16, 4, 128),
    _shape("Phi-3.5-mini", "phi3", 32_064, 32, 3072, 8192, 32, 32, 96),
    _shape("Ministral-3-3B", "mistral3", 131_072, 26, 3072, 9216, 32, 8, 128),
    _shape("MiniCPM-2B", "minicpm", 122_753, 40, 2304, 5760, 36, 36, 64),
    _shape("Nanbeige4-3B", "nanbeige", 166_144, 32, 2560, 10_496, 20, 4, 128),
    _shape("Hunyuan-1.8B", "hunyuan-dense", 120_818, 32, 2048, 6144, 16, 4, 128),
    _shape("ERNIE-4.5-0.3B", "ernie4_5", 103_424, 18, 1024, 3072, 16, 2, 128),
    _shape(
        *("DeepSeek-V2-Lite", "deepseek2", 102_400, 27, 2048, 10_944, 16, 1, 576),
        more=_moe(64, 6, 1408)
        | {
            "attention.value_length": 512,
            "attention.kv_lora_rank": 512,
            "attention.key_length_mla": 192,
            "attention.value_length_mla": 128,
            "rope.dimension_count": 64,
            "leading_dense_block_count": 1,
            "expert_shared_count": 2,
        },
    ),
    _shape("EXAONE-4.0-1.2B", "exaone4", 102_400, 30, 2048, 4096, 32, 8, 64),
    _shape("OLMo-2-1B", "olmo2", 100_352, 16, 2048, 8192, 16, 16, 128),
    _shape("GLM-4-9B", "glm4", 151_552, 40, 4096, 13_696, 32, 2, 128),
)


#: Parameters in billions.
_BILLIONS: Final = {
    "Qwen2.5-1.5B": 1.54,
    "Llama-3.2-1B": 1.24,
    "Qwen3-4B": 4.02,
    "Qwen3-30B-A3B": 30.5,
    "Qwen3.5-0.8B": 0.87,
    "Qwen3.5-0.8B-MTP": 0.89,
    "Qwen3.5-4B": 4.2,
    "Qwen3-Next-80B-A3B": 79.7,
    "Gemma-2-2B": 2.61,
    "Gemma-3-1B": 1.0,
    "Gemma-3-4B": 3.88,
    "Gemma-3n-E2B": 4.46,
    "Gemma-4-E2B": 4.65,
    "LFM2-1.2B": 1.17,
    "LFM2-8B-A1B": 8.34,
    "Granite-4.0-H-Micro": 3.19,
    "Granite-4.0-H-350M": 0.34,
    "Falcon-H1-0.5B": 0.52,
    "Nemotron-Nano-9B-v2": 8.89,
    "PLaMo-2-1B": 1.29,
    "Jamba-Reasoning-3B": 3.03,
    "gpt-oss-20b": 20.9,
    "Command-R7B": 8.03,
    "SmolLM3-3B": 3.08,
    "Phi-3.5-mini": 3.82,
    "Ministral-3-3B": 3.43,
    "MiniCPM-2B": 2.72,
    "Nanbeige4-3B": 3.93,
    "Hunyuan-1.8B": 1.79,
    "ERNIE-4.5-0.3B": 0.36,
    "DeepSeek-V2-Lite": 15.7,
    "EXAONE-4.0-1.2B": 1.28,
    "OLMo-2-1B": 1.48,
    "GLM-4-9B": 9.4,
}

#: Bytes of a weight in a file of Q4_K_M, on an average.
_WEIGHT_BYTES: Final = 0.61


def described(shape: Shape) -> ModelInfo:
    """Describe it as if there were a file of it, of Q4_K_M."""
    weights_bytes = round(_BILLIONS[shape.name] * 1e9 * _WEIGHT_BYTES)
    metadata: dict[str, Value] = {
        "general.architecture": shape.architecture,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.chat_template": "{{ messages }}",
        VOCABULARY: TokenList(length=shape.vocab_tokens, repeated=0, byte_tokens=0),
        "tokenizer.ggml.merges": ArrayInfo(STRING, shape.vocab_tokens),
    }
    for name, value in shape.values.items():
        metadata[f"{shape.architecture}.{name}"] = (
            ArrayInfo(INT32, len(value), tuple(value)) if isinstance(value, list) else value
        )
    weights = Tensor("output.weight", (1,), TENSOR_TYPES[0], 0)
    info = describe(Path(f"{shape.name}.gguf"), weights_bytes, Header(3, metadata, (weights,)))
    # Some twelve tensors a layer, whatever is in it.
    return replace(info, weights_bytes=weights_bytes, tensor_count=12 * info.block_count)
