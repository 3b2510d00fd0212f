"""The architectures that people put on such a box, each as small as it can be; see `random_model`.

Names of metadata lack their architecture. What a published model of the family has and what makes
its memory what it is stands here; sizes do not: all are tiny.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_WIDTH, _HEAD = 64, 32

#: Of our own wording, where llama.cpp's collection has none for the family.
CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture.

    Attributes:
        name: For people and files.
        architecture: As llama.cpp spells it.
        vocabulary: Which of llama.cpp's collection.
        values: Its metadata.
        template: Which of llama.cpp's collection.
        template_text: Instead of one.
        tokens: Control tokens that the vocabulary has to have.
        tied: The embedding is the output matrix as well.
        has: Names of optional tensors that models of the family have, as patterns.
        lacks: Names of tensors that they have not.
        types: Names with the number format of the tensor, where it is not the usual one.
        embedding_size: Of its embedding, as a part of the usual; where the library enlarges it, it
            would else drown the layers, and the model would say its last token again and again.
    """

    name: str
    architecture: str
    vocabulary: str
    values: Mapping[str, object]
    template: str = ""
    template_text: str = ""
    tokens: tuple[str, ...] = ()
    tied: bool = True
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    types: tuple[tuple[str, str], ...] = field(default=())
    embedding_size: float = 1.0


def _usual(**changes: object) -> dict[str, object]:
    """Two layers of two heads; ``.`` in names is spelt ``__``."""
    values: dict[str, object] = {
        "block_count": 2,
        "context_length": 32_768,
        "embedding_length": _WIDTH,
        "feed_forward_length": 2 * _WIDTH,
        "attention.head_count": 2,
        "attention.head_count_kv": 1,
        "attention.key_length": _HEAD,
        "attention.value_length": _HEAD,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": _HEAD,
        "rope.freq_base": 10_000.0,
    }
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in values.items() if value is not None}


#: Running states of the kind that Mamba 2 and its heirs have.
_SSM: Final[dict[str, object]] = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 128,
    "ssm.state_size": 32,
    "ssm.time_step_rank": 4,
    "ssm.group_count": 1,
}

_QWEN35 = _usual(
    block_count=4,
    full_attention_interval=4,
    rope__dimension_sections=[4, 4, 4, 4],
    **(_SSM | {"ssm.group_count": 2}),
)

_ALL = (
    Family(
        "qwen2",
        "qwen2",
        "qwen2",
        _usual(),
        template="Qwen-Qwen2.5-7B-Instruct",
        has=(r"attn_(q|k|v)\.bias$",),
    ),
    Family("llama", "llama", "llama-bpe", _usual(), template="meta-llama-Llama-3.2-3B-Instruct"),
    Family("qwen35", "qwen35", "qwen35", _QWEN35, template="Qwen3.5-4B"),
    Family(
        "qwen35-mtp",
        "qwen35",
        "qwen35",
        _QWEN35 | {"block_count": 5, "nextn_predict_layers": 1},
        template="Qwen3.5-4B",
    ),
    Family(
        "gemma3",
        "gemma3",
        "llama-spm",
        _usual(
            block_count=6,
            attention__sliding_window=512,
            rope__freq_base=1_000_000.0,
            rope__freq_base_swa=10_000.0,
        ),
        template="google-gemma-2-2b-it",
        embedding_size=0.1,
    ),
    Family(
        "gemma4",
        "gemma4",
        "gemma-4",
        _usual(
            block_count=6,
            attention__sliding_window=512,
            attention__sliding_window_pattern=[True, True, True, False, True, False],
            attention__shared_kv_layers=2,
            attention__key_length=2 * _HEAD,
            attention__value_length=2 * _HEAD,
            attention__key_length_swa=_HEAD,
            attention__value_length_swa=_HEAD,
            rope__dimension_count=2 * _HEAD,
            rope__dimension_count_swa=_HEAD,
            rope__freq_base=1_000_000.0,
            rope__freq_base_swa=10_000.0,
            embedding_length_per_layer_input=16,
            final_logit_softcapping=30.0,
        ),
        template="google-gemma-4-31B-it",
        has=(r"^rope_freqs\.weight$",),
        lacks=(r"_exps\.weight$", r"ffn_gate_inp", r"ffn_p(re|ost)_norm_\d"),
        types=((r"^per_layer_token_embd", "Q4_0"),),
    ),
    Family(
        "lfm2",
        "lfm2",
        "llama-bpe",
        _usual(
            block_count=4,
            attention__head_count_kv=[0, 1, 0, 1],
            shortconv__l_cache=3,
        ),
        template="LFM2.5-Instruct",
        tokens=_CHATML_TOKENS,
    ),
    Family(
        "falcon-h1",
        "falcon-h1",
        "falcon",
        _usual(**_SSM),
        template_text=CHATML,
        tokens=_CHATML_TOKENS,
    ),
    Family(
        "nemotron_h",
        "nemotron_h",
        "llama-bpe",
        _usual(
            block_count=4,
            attention__head_count_kv=[0, 0, 1, 0],
            feed_forward_length=[0, 128, 0, 128],
            attention__layer_norm_epsilon=1e-6,
            **_SSM,
        ),
        template="NVIDIA-Nemotron-Nano-v2",
        tied=False,
    ),
    Family(
        "cohere2",
        "cohere2",
        "command-r",
        _usual(
            block_count=4,
            attention__sliding_window=512,
            attention__layer_norm_epsilon=1e-5,
            attention__layer_norm_rms_epsilon=None,
            logit_scale=1.0,
        ),
        template="CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    ),
    Family(
        "gpt-oss",
        "gpt-oss",
        "llama-bpe",
        _usual(
            attention__sliding_window=128,
            expert_count=4,
            expert_used_count=2,
            expert_feed_forward_length=_WIDTH,
        ),
        template="openai-gpt-oss-120b",
        tokens=("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"),
        tied=False,
        has=(r"\.bias$",),
        types=((r"_exps\.weight$", "MXFP4"),),
    ),
)

FAMILIES: Final = {family.name: family for family in _ALL}
