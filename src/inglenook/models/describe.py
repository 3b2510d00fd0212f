"""Description of a model that can chat, from its header. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inglenook.models.gguf.ggml_types import FILE_TYPES, REPACKED_TYPES
from inglenook.models.gguf.header import (
    FLOAT32,
    INT32,
    VOCABULARY,
    ArrayInfo,
    Header,
    Tensor,
    TokenList,
    Value,
)
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError, ModelInfo, quoted
from inglenook.models.kinds import check_kind
from inglenook.models.layers import RECURRENT, read_beside, read_layer_state
from inglenook.models.metadata import MAX_LAYERS, MAX_WIDTH, Keys, chat_template

# Far above any published model.
_MAX_CONTEXT = 2**27
_MAX_EXPERTS = 4096
_MAX_NAME_CHARS = 80


def describe(path: Path, file_bytes: int, header: Header) -> ModelInfo:
    """Describe a model whose header has been read.

    Raises:
        BadModelError: If it is not a whole model that can chat.
    """
    metadata = header.metadata
    keys = Keys(metadata, check_kind(metadata, len(header.tensors)))
    if keys.architecture in RECURRENT:
        raise BadModelError("is a recurrent model, which is not supported", CHOOSE_ANOTHER)
    layers = keys.number("block_count", MAX_LAYERS)
    width = keys.number("embedding_length", MAX_WIDTH)
    heads = _heads(keys, layers)
    head_length = width // heads
    merges = metadata.get("tokenizer.ggml.merges")
    _check_asserted(keys)
    return ModelInfo(
        path=path,
        file_bytes=file_bytes,
        name=_name(metadata) or path.stem,
        architecture=keys.architecture,
        quantization=_quantization(metadata),
        context_length=keys.number("context_length", _MAX_CONTEXT),
        block_count=layers,
        embedding_length=width,
        beside_length=read_beside(keys, layers, width),
        feed_forward_length=_feed_forward_length(keys) or 4 * width,
        experts_used=_widest(keys, "expert_used_count"),
        head_count=heads,
        query_length=heads * keys.number("attention.key_length", MAX_WIDTH, default=head_length),
        layer_state=read_layer_state(keys, layers, heads),
        vocab_size=_vocab_size(metadata),
        merges=merges.length if isinstance(merges, ArrayInfo) else 0,
        chat_template=chat_template(metadata),
        tensor_count=len(header.tensors),
        parameter_count=sum(tensor.elements for tensor in header.tensors),
        weights_bytes=_weights_bytes(header.tensors),
    )


def _heads(keys: Keys, layers: int) -> int:
    """Return the attention heads of the layer with most; layers without attention have none."""
    heads = keys.per_layer("attention.head_count", layers)
    heads_kv = keys.per_layer("attention.head_count_kv", layers, default=max(heads))
    for name, numbers in (("head_count", heads), ("head_count_kv", heads_kv)):
        if not any(numbers):
            key = quoted(f"{keys.architecture}.attention.{name}")
            raise BadModelError(f"is damaged: {key} gives none of its {layers} layers a head")
    for layer_heads, layer_heads_kv in zip(heads, heads_kv, strict=True):
        # llama.cpp would abort.
        if layer_heads_kv and layer_heads % layer_heads_kv:
            raise BadModelError(
                f"is damaged: {layer_heads_kv:,} key/value heads cannot serve {layer_heads:,} heads"
            )
    return max(heads)


def _feed_forward_length(keys: Keys) -> int:
    """Return the widest row of any layer; 0 if unknown."""
    dense = _widest(keys, "feed_forward_length")
    expert = _widest(keys, "expert_feed_forward_length") or dense
    return max(dense, expert * _widest(keys, "expert_used_count"))


def _widest(keys: Keys, name: str) -> int:
    """Return the largest of a number of each layer; 0 if unknown."""
    value = keys.raw(name)
    numbers = value.items if isinstance(value, ArrayInfo) else (value,)
    return max((number for number in numbers if isinstance(number, int)), default=0)


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


def _check_asserted(keys: Keys) -> None:
    """Refuse numbers that llama.cpp only asserts, aborting where they are used."""
    count, used = keys.raw("expert_count") or 0, keys.raw("expert_used_count") or 0
    if isinstance(used, ArrayInfo):
        used = _widest(keys, "expert_used_count")
    if not (isinstance(count, int) and isinstance(used, int)):
        raise BadModelError("is damaged: its numbers of experts are not numbers")
    if not 0 <= count <= _MAX_EXPERTS or not 0 <= used <= count or bool(count) != bool(used):
        raise BadModelError(f"is damaged: it uses {used:,} of {count:,} experts")
    for name in ("layer_norm_epsilon", "layer_norm_rms_epsilon"):
        epsilon = keys.raw(f"attention.{name}")
        if epsilon is None:
            continue
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise BadModelError(f"is damaged: its {name} is not a number from 0 to 1")


def _vocab_size(metadata: Mapping[str, Value]) -> int:
    model, tokens = metadata.get("tokenizer.ggml.model"), metadata.get(VOCABULARY)
    if not isinstance(model, str) or tokens is None:
        raise BadModelError("has no tokenizer", CHOOSE_ANOTHER)
    if not isinstance(tokens, TokenList) or not tokens.length:
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
            not isinstance(column, ArrayInfo)
            or column.item_type not in (INT32, FLOAT32)
            or column.length < tokens.length
        ):
            raise BadModelError(f"is damaged: its vocabulary's {name} do not match its tokens")
    return tokens.length


def _quantization(metadata: Mapping[str, Value]) -> str:
    file_type = metadata.get("general.file_type")
    return FILE_TYPES.get(file_type, "unknown") if isinstance(file_type, int) else "unknown"


def _name(metadata: Mapping[str, Value]) -> str:
    """Return the model's own name, safe for a terminal, on one line."""
    name = metadata.get("general.name")
    if not isinstance(name, str):
        return ""
    printable = "".join(char if char.isprintable() else " " for char in name)
    return " ".join(printable.split())[:_MAX_NAME_CHARS]
