"""Header of a GGUF file. Kind: words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from inglenook.models.gguf.ggml_types import TensorType

# Ids of the value types that have to be told apart; ``gguf_type`` in gguf.h has them all.
INT32, FLOAT32, STRING, ARRAY = 5, 6, 8, 9

VOCABULARY = "tokenizer.ggml.tokens"
MAX_STORED_ITEMS = 512  # one number a layer, and llama.cpp's LLAMA_MAX_LAYERS is this


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array among the metadata.

    Attributes:
        item_type: GGUF's id for the type of its items.
        length: Number of items.
        items: The items if they are numbers and at most ``MAX_STORED_ITEMS``; else empty.
    """

    item_type: int
    length: int
    items: tuple[int | float, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenList:
    """The list of tokens, counted and not stored.

    Attributes:
        length: Number of tokens.
        repeated: Number of tokens that occur again; empty ones do not count.
        byte_tokens: Number of tokens among the 256 from ``<0x00>`` to ``<0xFF>``.
    """

    length: int
    repeated: int
    byte_tokens: int


Value = int | float | str | ArrayInfo | TokenList


@dataclass(frozen=True, slots=True)
class Tensor:
    """One row of the tensor table.

    Attributes:
        name: Such as ``blk.0.attn_q.weight``.
        shape: Elements in each dimension, rows first, as ggml has it.
        type: How the elements are packed.
        offset: Bytes from the start of the data.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size of the data, without padding."""
        return self.elements // self.type.block_elements * self.type.block_bytes


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the tensors' data, long arrays excepted."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
