"""Decide from its header whether a model can chat, and describe it. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inglenook.models.chattemplate import chat_template
from inglenook.models.ggml_types import FILE_TYPES, REPACKED_TYPES
from inglenook.models.header import (
    FLOAT32,
    INT32,
    VOCABULARY,
    Array,
    Header,
    Tensor,
    Value,
    Vocabulary,
)
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError, ModelInfo, quoted

# Architectures of llama.cpp that do not write text one token after another.
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
    | dict.fromkeys(("t5", "t5encoder"), "an encoder model")
    | dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "a text diffusion model")
    | {
        "clip": "the image or sound half of a multimodal model",
        "wavtokenizer-dec": "a speech decoder",
    }
)
_NOT_MODELS = {
    "adapter": "a LoRA adapter",
    "imatrix": "an importance matrix",
    "mmproj": "the image or sound half of a multimodal model",
}

# Far above any published model, except the layers: LLAMA_MAX_LAYERS is llama.cpp's own bound.
_MAX_LAYERS = 512
_MAX_CONTEXT = 2**27
_MAX_WIDTH = 2**20
_MAX_HEADS = 4096
_MAX_EXPERTS = 4096
_MAX_NAME_CHARS = 80


def describe(path: Path, file_bytes: int, header: Header) -> ModelInfo:
    """Describe a model whose header has been read.

    Raises:
        BadModelError: If it is not a whole model that can chat.
    """
    metadata = header.metadata
    architecture = _architecture(metadata)
    _check_whole(metadata, architecture, len(header.tensors))
    layers = _number(metadata, f"{architecture}.block_count", _MAX_LAYERS)
    width = _number(metadata, f"{architecture}.embedding_length", _MAX_WIDTH)
    attention = f"{architecture}.attention"
    heads_by_layer = _per_layer(metadata, f"{attention}.head_count", layers)
    heads = max(heads_by_layer)
    heads_kv = _per_layer(metadata, f"{attention}.head_count_kv", layers, default=heads)
    _check_heads(heads_by_layer, heads_kv)
    _check_asserted(metadata, architecture)
    head_length = width // heads
    return ModelInfo(
        path=path,
        file_bytes=file_bytes,
        name=_name(metadata) or path.stem,
        architecture=architecture,
        quantization=_quantization(metadata),
        context_length=_number(metadata, f"{architecture}.context_length", _MAX_CONTEXT),
        block_count=layers,
        embedding_length=width,
        feed_forward_length=_feed_forward_length(metadata, architecture) or 4 * width,
        head_count=heads,
        head_count_kv=heads_kv,
        key_length=_number(metadata, f"{attention}.key_length", _MAX_WIDTH, default=head_length),
        value_length=_number(
            metadata, f"{attention}.value_length", _MAX_WIDTH, default=head_length
        ),
        vocab_size=_vocab_size(metadata),
        chat_template=chat_template(metadata),
        parameter_count=sum(tensor.elements for tensor in header.tensors),
        weights_bytes=_weights_bytes(header.tensors),
    )


def _architecture(metadata: Mapping[str, Value]) -> str:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise BadModelError("does not name its architecture", CHOOSE_ANOTHER)
    kind = metadata.get("general.type")
    what = _NOT_CHAT.get(architecture) or (_NOT_MODELS.get(kind) if isinstance(kind, str) else None)
    if what:
        raise BadModelError(
            f"is {what} ({quoted(architecture)}), which cannot chat", CHOOSE_ANOTHER
        )
    return architecture


def _check_whole(metadata: Mapping[str, Value], architecture: str, n_tensors: int) -> None:
    parts, part = metadata.get("split.count"), metadata.get("split.no")
    if isinstance(parts, int) and parts > 1:
        which = f"part {part + 1:,}" if isinstance(part, int) else "one part"
        raise BadModelError(
            f"is {which} of a model split into {parts:,} files",
            "join them with `llama-gguf-split --merge`, or choose a model in one file",
        )
    if not n_tensors:
        raise BadModelError(f"holds no weights of the {quoted(architecture)} model", CHOOSE_ANOTHER)


def _number(
    metadata: Mapping[str, Value], key: str, most: int, *, default: int | None = None
) -> int:
    """Read a number from 1 to ``most``."""
    value = metadata.get(key, default)
    if value is None:
        raise BadModelError(f"lacks {quoted(key)}", CHOOSE_ANOTHER)
    if not isinstance(value, int) or not 1 <= value <= most:
        shown = quoted(str(value)) if isinstance(value, int | float | str) else "an array"
        raise BadModelError(
            f"is damaged: {quoted(key)} is {shown}, not a number from 1 to {most:,}"
        )
    return value


def _per_layer(
    metadata: Mapping[str, Value], key: str, layers: int, *, default: int | None = None
) -> tuple[int, ...]:
    """Read a number of heads that is one for all layers, or one each; some may be 0, not all."""
    value = metadata.get(key, default)
    if not isinstance(value, Array):
        if value == 0:
            raise BadModelError("is a recurrent model, which is not supported", CHOOSE_ANOTHER)
        return (_number(metadata, key, _MAX_HEADS, default=default),) * layers
    numbers = tuple(
        item for item in value.items if isinstance(item, int) and 0 <= item <= _MAX_HEADS
    )
    if len(numbers) != layers or value.length != layers or not any(numbers):
        raise BadModelError(
            f"is damaged: {quoted(key)} does not give each of its {layers} layers a number"
        )
    return numbers


def _feed_forward_length(metadata: Mapping[str, Value], architecture: str) -> int:
    """The widest row of any layer; 0 if the file does not say."""

    def widest(key: str) -> int:
        value = metadata.get(f"{architecture}.{key}")
        numbers = value.items if isinstance(value, Array) else (value,)
        return max((number for number in numbers if isinstance(number, int)), default=0)

    dense = widest("feed_forward_length")
    expert = widest("expert_feed_forward_length") or dense
    return max(dense, expert * widest("expert_used_count"))


def _weights_bytes(tensors: Sequence[Tensor]) -> int:
    """Add up the tensors, and the copy that is made of one.

    A weight that the CPU backend rearranges is copied, and its pages of the file are dropped. The
    embedding is looked up as it is in the file; where it is the output matrix as well, that is a
    copy beside it.
    """
    whole_bytes = sum(tensor.size_bytes for tensor in tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    embedding = by_name.get("token_embd.weight")
    if embedding and embedding.type.name in REPACKED_TYPES and "output.weight" not in by_name:
        whole_bytes += embedding.size_bytes
    return whole_bytes


def _check_asserted(metadata: Mapping[str, Value], architecture: str) -> None:
    """Refuse numbers that llama.cpp only asserts, aborting where they are used."""
    count = metadata.get(f"{architecture}.expert_count", 0)
    used = metadata.get(f"{architecture}.expert_used_count", 0)
    if not (isinstance(count, int) and isinstance(used, int)):
        raise BadModelError("is damaged: its numbers of experts are not numbers")
    if not 0 <= count <= _MAX_EXPERTS or not 0 <= used <= count or bool(count) != bool(used):
        raise BadModelError(f"is damaged: it uses {used:,} of {count:,} experts")
    for name in ("layer_norm_epsilon", "layer_norm_rms_epsilon"):
        epsilon = metadata.get(f"{architecture}.attention.{name}", 0.0)
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise BadModelError(f"is damaged: its {name} is not a number from 0 to 1")


def _check_heads(heads: tuple[int, ...], heads_kv: tuple[int, ...]) -> None:
    """Refuse attention heads that cannot share key/value heads evenly; llama.cpp would abort."""
    for layer_heads, layer_heads_kv in zip(heads, heads_kv, strict=True):
        if layer_heads_kv and layer_heads % layer_heads_kv:
            raise BadModelError(
                f"is damaged: {layer_heads_kv:,} key/value heads cannot serve {layer_heads:,} heads"
            )


def _vocab_size(metadata: Mapping[str, Value]) -> int:
    model, tokens = metadata.get("tokenizer.ggml.model"), metadata.get(VOCABULARY)
    if not isinstance(model, str) or tokens is None:
        raise BadModelError("has no tokenizer", CHOOSE_ANOTHER)
    if not isinstance(tokens, Vocabulary) or not tokens.length:
        raise BadModelError("is damaged: its vocabulary is not a list of texts")
    if tokens.repeated:
        raise BadModelError(f"is damaged: its vocabulary has {tokens.repeated:,} tokens twice")
    if model == "llama" and tokens.byte_tokens < 256:
        # SentencePiece spells unknown text in bytes; llama.cpp aborts where one is missing.
        missing = 256 - tokens.byte_tokens
        raise BadModelError(f"lacks {missing} of the 256 tokens for single bytes", CHOOSE_ANOTHER)
    for name in ("token_type", "scores"):  # llama.cpp looks each token up in these
        column = metadata.get(f"tokenizer.ggml.{name}")
        if column is None:
            continue
        if (
            not isinstance(column, Array)
            or column.item_type not in (INT32, FLOAT32)
            or column.length < tokens.length
        ):
            raise BadModelError(f"is damaged: its vocabulary's {name} do not match its tokens")
    return tokens.length


def _quantization(metadata: Mapping[str, Value]) -> str:
    file_type = metadata.get("general.file_type")
    return FILE_TYPES.get(file_type, "unknown") if isinstance(file_type, int) else "unknown"


def _name(metadata: Mapping[str, Value]) -> str:
    """The model's own name, fit for a terminal and one line."""
    name = metadata.get("general.name")
    if not isinstance(name, str):
        return ""
    printable = "".join(char if char.isprintable() else " " for char in name)
    return " ".join(printable.split())[:_MAX_NAME_CHARS]
