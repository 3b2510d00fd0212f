"""Output of many families of models, in our own words, and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

THOUGHT = "They ask for a city.\n\nIt is 5 < 6 and <b>Paris</b>."
ANSWER = "Paris,\n\n* a **city** with <i>much</i> light"

#: Plain turns, for families whose template is not in the collection.
_TURNS = (
    "{%% for message in messages %%}<|turn|>{{ message.role }}\n{{ message.content }}"
    "<|end_of_turn|>\n{%% endfor %%}%s"
)
_OPENED = "{% if add_generation_prompt %}<|turn|>assistant\n%s{% endif %}"


def plain(turn: str = "", *, system: str = "") -> str:
    """A template of our own: its system text, and the beginning of the answer's turn."""
    return system + _TURNS % _OPENED.replace("%s", turn)


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        name: Whose.
        template: Name in the collection, or one of our own.
        tokens: Its tags that are tokens.
        said: What the model writes, from where the prompt ends, if it thinks.
        off: How its template has it not think: with a thought that is closed already, by telling
            it, or not at all.
        unthought: What it writes then.
        on: It does not think unless it is asked to.
        architecture: As llama.cpp spells it, where that matters.
        by_tokens: Only its tokens tell which family it is.
    """

    name: str
    template: str
    tokens: tuple[str, ...]
    said: str
    off: Literal["closed", "told", "never"] = "never"
    unthought: str = ANSWER
    on: bool = False
    architecture: str = "llama"
    by_tokens: bool = False


def _think(
    name: str,
    template: str,
    off: Literal["closed", "told", "never"],
    *,
    opened: bool = False,
    tag: str = "think",
) -> Family:
    tokens = (f"<{tag}>", f"</{tag}>")
    begin = "\n" if opened else f"<{tag}>\n"
    return Family(name, template, tokens, f"{begin}{THOUGHT}\n</{tag}>\n\n{ANSWER}", off)


_HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>")
_COHERE = ("<|START_THINKING|>", "<|END_THINKING|>")
_RESPONSE = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")

FAMILIES = (
    _think("Qwen3", "Qwen-Qwen3-0.6B", "closed"),
    _think("SmolLM3", "HuggingFaceTB-SmolLM3-3B", "closed"),
    _think("GLM-4.6", "GLM-4.6", "closed"),
    _think("GLM-4.7-Flash", "GLM-4.7-Flash", "closed", opened=True),
    _think("Qwen3.5", "Qwen3.5-4B", "closed", opened=True),
    _think("QwQ", "Qwen-QwQ-32B", "closed", opened=True),
    _think("R1-Distill-Qwen", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "closed", opened=True),
    _think("R1-Distill-Llama", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "never", opened=True),
    _think("DeepSeek-V3.1", "deepseek-ai-DeepSeek-V3.1", "closed", opened=True),
    _think("DeepSeek-V4", "deepseek-ai-DeepSeek-V4", "closed", opened=True),
    _think("Nemotron-3-Nano", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "closed", opened=True),
    _think("Nemotron-Nano-v2", "NVIDIA-Nemotron-Nano-v2", "never", opened=True),
    _think("LFM2.5", "LFM2.5-8B-A1B", "never"),
    _think("LFM2.5-Instruct", "LFM2.5-Instruct", "never"),
    _think("MiniMax-M2", "MiniMax-M2", "never", opened=True),
    _think("MiniMax-M3", "MiniMax-M3", "closed", tag="mm:think"),
    _think("Step-3.5-Flash", "StepFun3.5-Flash", "never", opened=True),
    _think("Kimi-K2-Thinking", "Kimi-K2-Thinking", "never"),
    _think("MiniCPM5", "openbmb-MiniCPM5-1B", "closed", opened=True),
    _think("Bielik-11B-v3", "Bielik-11B-v3.0-Instruct", "told", opened=True),
    _think("Laguna", "poolside-Laguna-XS.2", "closed", opened=True),
    _think("Ling-3.0", "inclusionai-ling-3.0-flash", "closed", opened=True),
    _think("Reka-Edge", "Reka-Edge", "told", opened=True),
    _think("Spark2.5", "Spark2.5", "closed", opened=True),
    _think("RWKV", "llama-cpp-rwkv-world", "closed", opened=True),
    _think("Phi-4-reasoning", plain(system="Think in <think> and </think>.\n"), "never"),
    _think(
        "EXAONE Deep", plain("<thought>\n" + "{#</thought>#}"), "never", opened=True, tag="thought"
    ),
    Family(
        "Hunyuan dense",
        plain(),
        ("<think>", "</think>", "<answer>", "</answer>"),
        f"<think>\n{THOUGHT}\n</think>\n<answer>\n{ANSWER}\n</answer>",
        architecture="hunyuan-dense",
    ),
    Family(
        "Granite 3.3",
        "ibm-granite-granite-3.3-2B-Instruct",
        ("<think>", "</think>", "<response>", "</response>"),
        f"<think>{THOUGHT}</think>\n<response>{ANSWER}</response>",
        "told",
        on=True,
    ),
    Family(
        "ERNIE thinking",
        plain("<think>\n", system="{#</think><response></response>#}"),
        ("<think>", "</think>", "<response>", "</response>"),
        f"{THOUGHT}\n</think>\n\n<response>\n{ANSWER}\n</response>\n",
    ),
    Family(
        "Hy3",
        "tencent-Hy3",
        ("<think:opensource>", "</think:opensource>"),
        f"{THOUGHT}</think:opensource>{ANSWER}",
        "closed",
        on=True,
        by_tokens=True,
    ),
    Family(
        "Ministral 3 Reasoning",
        "mistralai-Ministral-3-14B-Reasoning-2512",
        ("[THINK]", "[/THINK]"),
        f"[THINK]{THOUGHT}[/THINK]{ANSWER}",
    ),
    Family(
        "Magistral",
        plain(),
        ("[THINK]", "[/THINK]"),
        f"[THINK]{THOUGHT}\n[/THINK]\n{ANSWER}",
        by_tokens=True,
    ),
    Family(
        "gpt-oss",
        "openai-gpt-oss-120b",
        _HARMONY,
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{ANSWER}",
        "told",
        f"<|channel|>final<|message|>{ANSWER}",
    ),
    Family(
        "Seed-OSS",
        "ByteDance-Seed-OSS",
        ("<seed:think>", "</seed:think>", "<seed:cot_budget_reflect>"),
        f"<seed:think>\n{THOUGHT}\n</seed:think>\n{ANSWER}",
        "closed",
    ),
    Family(
        "Command R7B",
        "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
        (*_COHERE, *_RESPONSE),
        f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
        "closed",
        f"<|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
    ),
    Family(
        "Cohere2 MoE",
        "Cohere2MoE",
        (*_COHERE, "<|START_TEXT|>", "<|END_TEXT|>"),
        f"{THOUGHT}<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>",
        "closed",
        f"<|START_TEXT|>{ANSWER}<|END_TEXT|>",
    ),
    Family(
        "Gemma 4",
        "google-gemma-4-31B-it",
        ("<|channel>", "<channel|>"),
        f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}",
        "closed",
    ),
    Family(
        "Apertus",
        "Apertus-8B-Instruct",
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>{ANSWER}",
        "told",
    ),
    Family(
        "Apriel 1.6",
        "Apriel-1.6-15b-Thinker-fixed",
        ("[BEGIN FINAL RESPONSE]",),
        f"{THOUGHT}\n[BEGIN FINAL RESPONSE]\n{ANSWER}",
    ),
    Family(
        "Apriel 1.5",
        "unsloth-Apriel-1.5",
        ("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"),
        f"Here are my reasoning steps:\n{THOUGHT}\n[BEGIN FINAL RESPONSE]\n{ANSWER}\n"
        "[END FINAL RESPONSE]\n",
    ),
    Family(
        "Kimi K3",
        "Kimi-K3",
        ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"),
        f"{THOUGHT}<|close|>think<|sep|><|open|>response<|sep|>{ANSWER}<|close|>response<|sep|>",
        "closed",
        f"{ANSWER}<|close|>response<|sep|>",
    ),
    Family(
        "Solar Open",
        "upstage-Solar-Open-100B",
        ("<|begin|>", "<|think|>", "<|content|>", "<|end|>"),
        f"<|think|>{THOUGHT}<|end|><|begin|>assistant<|content|>{ANSWER}",
        "closed",
        f"<|content|>{ANSWER}",
    ),
    Family(
        "Glimmer",
        "muse-glimmer",
        ("<|start|>", "<|message|>", "<|eom|>"),
        f" to=self<|message|>{THOUGHT}<|eom|><|start|>assistant<|message|>{ANSWER}",
        "told",
        f"<|message|>{ANSWER}",
    ),
    Family("Llama 3.2", "meta-llama-Llama-3.2-3B-Instruct", (), ANSWER),
)
