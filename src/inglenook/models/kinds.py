"""Kinds of GGUF files that cannot chat. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping

from inglenook.models.gguf.header import Value
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError, quoted

# Architectures of llama.cpp that do not write text one token after another, or not by themselves.
_NOT_CHAT = (
    dict.fromkeys(
        (
            "bert",
            "eurobert",
            "gemma-embedding",
            "jina-bert-v2",
            "jina-bert-v3",
            "llama-embed",
            "modern-bert",
            "neo-bert",
            "nomic-bert",
            "nomic-bert-moe",
        ),
        "an embedding model",
    )
    | dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "a text diffusion model")
    | dict.fromkeys(("dflash", "eagle3", "gemma4-assistant"), "a draft for another model")
    | dict.fromkeys(("pockettts", "qwen3tts", "wavtokenizer-dec"), "a model of speech")
    | {
        "clip": "the image or sound half of a multimodal model",
        "controlvector": "a control vector for another model",
        "t5": "an encoder-decoder model",
        "t5encoder": "an encoder model",
    }
)

# ``general.type`` and ``adapter.type``.
_NOT_MODELS = {
    "adapter": "an adapter for another model",
    "imatrix": "an importance matrix",
    "mmproj": "the image or sound half of a multimodal model",
}
_LORA = "a LoRA adapter for another model"

#: First ``llama_pooling_type`` that makes one row of numbers of a text, and the one that makes one
#: number.
_POOLED, _RANKED = 1, 4


def check_kind(metadata: Mapping[str, Value], n_tensors: int) -> str:
    """Return the architecture of a model that can chat, as far as its metadata show.

    Raises:
        BadModelError: If it is something else, with what it is.
    """
    _check_split(metadata)
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise BadModelError("does not name its architecture", CHOOSE_ANOTHER)
    if not n_tensors:
        raise BadModelError(f"holds no weights of the {quoted(architecture)} model", CHOOSE_ANOTHER)
    what = _what(metadata, architecture)
    if what:
        raise BadModelError(
            f"is {what} ({quoted(architecture)}), which cannot chat", CHOOSE_ANOTHER
        )
    return architecture


def _check_split(metadata: Mapping[str, Value]) -> None:
    # Parts behind the first say this and nothing else.
    parts, part = metadata.get("split.count"), metadata.get("split.no")
    if isinstance(parts, int) and parts > 1:
        which = f"part {part + 1:,}" if isinstance(part, int) else "one part"
        raise BadModelError(
            f"is {which} of a model split into {parts:,} files",
            "join them with `llama-gguf-split --merge`, or choose a model in one file",
        )


def _what(metadata: Mapping[str, Value], architecture: str) -> str | None:
    """Return what the file is if it cannot chat; None if it may."""
    adapter, kind = metadata.get("adapter.type"), metadata.get("general.type")
    if adapter == "lora" or (adapter is None and kind == "adapter"):
        return _LORA
    if isinstance(adapter, str):
        return _NOT_MODELS["adapter"]
    if isinstance(kind, str) and kind in _NOT_MODELS:
        return _NOT_MODELS[kind]
    if architecture in _NOT_CHAT:
        return _NOT_CHAT[architecture]
    pooling = metadata.get(f"{architecture}.pooling_type")
    if isinstance(pooling, int) and _POOLED <= pooling < _RANKED:
        return "an embedding model"
    if pooling == _RANKED:
        return "a model that ranks texts"
    if metadata.get(f"{architecture}.attention.causal") is False:
        return "an embedding model"
    return None
