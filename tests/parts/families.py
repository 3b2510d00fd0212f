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

_MOE: Final[dict[str, object]] = {
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": _WIDTH,
}

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
            **_MOE,
        ),
        template="openai-gpt-oss-120b",
        tokens=("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"),
        tied=False,
        has=(r"\.bias$",),
        types=((r"_exps\.weight$", "MXFP4"),),
    ),
    Family("qwen3", "qwen3", "qwen2", _usual(), template="Qwen-Qwen3-0.6B"),
    Family("qwen3moe", "qwen3moe", "qwen2", _usual(**_MOE), template="Qwen3-Coder"),
    Family(
        "qwen3next",
        "qwen3next",
        "qwen2",
        _usual(
            block_count=4,
            full_attention_interval=4,
            expert_shared_feed_forward_length=_WIDTH,
            **_MOE,
            **(_SSM | {"ssm.group_count": 2}),
        ),
        template="Qwen-Qwen3-0.6B",
        lacks=(r"ssm_in\.weight$",),
    ),
    Family(
        "gemma2",
        "gemma2",
        "llama-spm",
        _usual(
            block_count=4,
            attention__sliding_window=512,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
        ),
        template="google-gemma-2-2b-it",
        embedding_size=0.1,
    ),
    Family(
        "gemma3n",
        "gemma3n",
        "llama-spm",
        _usual(
            block_count=5,
            attention__sliding_window=512,
            embedding_length_per_layer_input=256,
            rope__freq_base=1_000_000.0,
            rope__freq_base_swa=10_000.0,
        ),
        template="google-gemma-2-2b-it",
        types=((r"^per_layer_token_embd", "Q4_0"),),
        embedding_size=0.1,
    ),
    Family(
        "lfm2moe",
        "lfm2moe",
        "llama-bpe",
        _usual(
            block_count=4,
            attention__head_count_kv=[0, 1, 0, 1],
            shortconv__l_cache=3,
            leading_dense_block_count=2,
            expert_gating_func=2,
            **_MOE,
        ),
        template="LFM2-8B-A1B",
        tokens=_CHATML_TOKENS,
    ),
    Family(
        "granitehybrid",
        "granitehybrid",
        "refact",
        _usual(block_count=4, attention__head_count_kv=[0, 0, 1, 0], **_SSM),
        template="ibm-granite-granite-4.0",
        tokens=("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
    ),
    Family(
        "plamo2",
        "plamo2",
        "llama-bpe",
        _usual(
            block_count=4,
            attention__head_count_kv=[0, 1, 0, 1],
            **(_SSM | {"ssm.group_count": 0}),
        ),
        template_text=CHATML,
        tokens=_CHATML_TOKENS,
    ),
    Family(
        "jamba",
        "jamba",
        "llama-spm",
        _usual(block_count=4, attention__head_count_kv=[0, 0, 1, 0], **_SSM),
        template_text=CHATML,
    ),
    Family(
        "smollm3",
        "smollm3",
        "llama-bpe",
        _usual(block_count=4),
        template="HuggingFaceTB-SmolLM3-3B",
        tokens=(*_CHATML_TOKENS, "<think>", "</think>"),
    ),
    Family(
        "phi3",
        "phi3",
        "phi-3",
        _usual(attention__sliding_window=2047),
        template="microsoft-Phi-3.5-mini-instruct",
        tied=False,
    ),
    Family(
        "mistral3",
        "mistral3",
        "llama-bpe",
        _usual(),
        template="mistralai-Ministral-3-14B-Reasoning-2512",
        tokens=(
            *("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
            *("[THINK]", "[/THINK]", "<s>", "</s>"),
        ),
    ),
    Family(
        "minicpm",
        "minicpm",
        "llama-spm",
        _usual(),
        template="openbmb-MiniCPM5-1B",
        embedding_size=0.1,
    ),
    Family(
        "nanbeige",
        "nanbeige",
        "llama-spm",
        _usual(num_loops=2),
        template_text=CHATML,
        tied=False,
    ),
    Family(
        "hunyuan-dense",
        "hunyuan-dense",
        "llama-bpe",
        _usual(),
        template="tencent-Hy3",
    ),
    Family("ernie4_5", "ernie4_5", "llama-spm", _usual(), template_text=CHATML),
    Family(
        "deepseek2",
        "deepseek2",
        "deepseek-llm",
        _usual(
            attention__q_lora_rank=32,
            attention__kv_lora_rank=32,
            attention__key_length=48,
            attention__value_length=32,
            attention__key_length_mla=32,
            attention__value_length_mla=16,
            rope__dimension_count=16,
            leading_dense_block_count=1,
            expert_shared_count=1,
            expert_gating_func=2,
            **_MOE,
        ),
        template="deepseek-ai-DeepSeek-V3.1",
        tied=False,
    ),
    Family(
        "exaone4", "exaone4", "llama-bpe", _usual(), template_text=CHATML, tokens=_CHATML_TOKENS
    ),
    Family("olmo2", "olmo2", "gpt-2", _usual(), template_text=CHATML, tied=False),
    Family(
        "glm4",
        "glm4",
        "llama-bpe",
        _usual(),
        template="GLM-4.6",
        tokens=(
            "[gMASK]",
            "<sop>",
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<think>",
            "</think>",
        ),
        tied=False,
    ),
)

FAMILIES: Final = {family.name: family for family in _ALL}
