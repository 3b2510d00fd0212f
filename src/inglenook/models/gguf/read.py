"""Reads the header of a GGUF file that may be truncated, foreign or hostile. Kind: hands.

A GGUF file is magic, version, two counts, key/value pairs, the tensor table, padding, and the
tensors' data, which is never read here.

Source: the GGUF specification, docs/gguf.md of the ggml project, and what llama.cpp's own reader,
ggml/src/gguf.cpp, refuses beyond it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import BinaryIO

from inglenook.models.gguf.distinct import Distinct
from inglenook.models.gguf.foreign import HEAD_BYTES, recognise
from inglenook.models.gguf.ggml_types import TENSOR_TYPES
from inglenook.models.gguf.header import (
    ARRAY,
    FLOAT32,
    INT32,
    MAX_STORED_ITEMS,
    STRING,
    VOCABULARY,
    ArrayInfo,
    Header,
    Tensor,
    TokenList,
    Value,
)
from inglenook.models.gguf.reader import BoundedReader
from inglenook.models.info import BadModelError, quoted

# Large models have some 100 pairs, 2,000 tensors and 262,144 tokens.
MAX_PAIRS = 4096
MAX_TENSORS = 65_536
MAX_TOKENS = 2**20

_BYTE_TOKENS = frozenset(b"<0x%02X>" % byte for byte in range(256))

_MAX_KEY_BYTES = 65_535  # specification
_MAX_NAME_BYTES = 63  # GGML_MAX_NAME with its final zero
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_ELEMENTS = 2**63 - 1  # ggml counts in int64
_ALIGNMENT = 32  # what GGUF has by default, and less than which makes ggml-backend.cpp abort
_LEAST_PAIR_BYTES = 14  # length and text of a one-letter key, type, a value of one byte
_LEAST_TENSOR_BYTES = 32  # length of an empty name, one dimension, type, offset

_NUMBERS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    INT32: struct.Struct("<i"),
    FLOAT32: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}


def read_header(file: BinaryIO, size_bytes: int) -> Header:
    """Read and check the header of a file of ``size_bytes``, from where ``file`` stands: its start.

    Raises:
        BadModelError: For what llama.cpp would refuse or trip over, and what exceeds our caps.
        OSError: From the file.
    """
    reader = BoundedReader(file, size_bytes)
    version = _read_version(file, reader)
    n_tensors = reader.count("tensors", most=MAX_TENSORS, least_bytes=_LEAST_TENSOR_BYTES)
    n_pairs = reader.count("metadata pairs", most=MAX_PAIRS, least_bytes=_LEAST_PAIR_BYTES)
    metadata: dict[str, Value] = {}
    for _ in range(n_pairs):
        key = reader.text("a metadata key", most_bytes=_MAX_KEY_BYTES)
        if not key:
            raise BadModelError("is damaged: a metadata key is empty")
        if key in metadata:
            raise BadModelError(f"is damaged: the metadata key {quoted(key)} appears twice")
        metadata[key] = _read_value(reader, key)
    tensors: dict[str, Tensor] = {}
    for _ in range(n_tensors):
        tensor = _read_tensor(reader)
        if tensor.name in tensors:
            raise BadModelError(f"is damaged: the tensor {quoted(tensor.name)} appears twice")
        tensors[tensor.name] = tensor
    table = tuple(tensors.values())
    _check_layout(table, _alignment(metadata), reader.offset, size_bytes)
    return Header(version, metadata, table)


def _read_version(file: BinaryIO, reader: BoundedReader) -> int:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head.startswith(b"GGUF"):
        raise recognise(head)
    reader.skip(4, "the magic number")
    version = reader.u32("the format version")
    if version and version & 0xFFFF == 0:
        raise BadModelError("is a big-endian GGUF file", "download the little-endian one")
    if version not in (2, 3):
        raise BadModelError(
            f"is a GGUF file of version {version:,}, where 2 and 3 are supported",
            "download a newer conversion" if version == 1 else "update inglenook",
        )
    return version


def _read_value(reader: BoundedReader, key: str) -> Value:
    what = f"the value of {quoted(key)}"
    value_type = reader.u32(what)
    if value_type == STRING:
        return reader.text(what)
    if value_type == ARRAY:
        return _read_array(reader, key, what)
    if value_type not in _NUMBERS:
        raise BadModelError(f"is damaged: {what} has the unknown type {value_type:,}")
    number = _NUMBERS[value_type]
    value: int | float = number.unpack(reader.take(number.size, what))[0]
    return value


def _read_array(reader: BoundedReader, key: str, what: str) -> ArrayInfo | TokenList:
    item_type = reader.u32(what)
    length = reader.u64(what)
    if item_type == STRING:
        if key == VOCABULARY:
            return _read_vocabulary(reader, length, what)
        for _text in reader.texts(length, what):
            pass
        return ArrayInfo(item_type, length)
    if item_type not in _NUMBERS:  # arrays of arrays are specified, but llama.cpp has none
        raise BadModelError(f"is damaged: {what} is an array of the unknown type {item_type:,}")
    number = _NUMBERS[item_type]
    if length > MAX_STORED_ITEMS:
        reader.skip(length * number.size, what)
        return ArrayInfo(item_type, length)
    data = reader.take(length * number.size, what)
    return ArrayInfo(item_type, length, tuple(item for (item,) in number.iter_unpack(data)))


def _read_vocabulary(reader: BoundedReader, length: int, what: str) -> TokenList:
    if length > MAX_TOKENS:
        raise BadModelError(f"claims to have {length:,} tokens, where {MAX_TOKENS:,} is the most")
    distinct = Distinct(length)
    repeated = byte_tokens = 0
    for text in reader.texts(length, what):
        token = text.partition(b"\0")[0]  # llama.cpp reads C strings
        if token and not distinct.add(token):
            repeated += 1
        elif token in _BYTE_TOKENS:
            byte_tokens += 1
    return TokenList(length=length, repeated=repeated, byte_tokens=byte_tokens)


def _read_tensor(reader: BoundedReader) -> Tensor:
    name = reader.text("a tensor's name", most_bytes=_MAX_NAME_BYTES)
    what = f"the tensor {quoted(name)}"
    n_dimensions = reader.u32(what)
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise BadModelError(f"is damaged: {what} has {n_dimensions:,} dimensions, not 1 to 4")
    shape = tuple(reader.u64(what) for _ in range(n_dimensions))
    if not 1 <= math.prod(shape) <= _MAX_ELEMENTS:
        raise BadModelError(f"is damaged: {what} has the impossible shape {list(shape)}")
    type_id = reader.u32(what)
    if type_id not in TENSOR_TYPES:
        raise BadModelError(
            f"stores {what} in the unknown number format {type_id:,}",
            "download it in another quantization, or update inglenook",
        )
    tensor_type = TENSOR_TYPES[type_id]
    if shape[0] % tensor_type.block_elements:
        raise BadModelError(
            f"is damaged: {what} has rows of {shape[0]:,}, which {tensor_type.name} packs"
            f" in blocks of {tensor_type.block_elements}"
        )
    return Tensor(name, shape, tensor_type, reader.u64(what))


def _alignment(metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < _ALIGNMENT or alignment & (alignment - 1):
        raise BadModelError(f"has an alignment that is not a power of two from {_ALIGNMENT} up")
    return alignment


def _check_layout(
    tensors: tuple[Tensor, ...], alignment: int, header_bytes: int, size_bytes: int
) -> None:
    """Check that each tensor has the one offset llama.cpp accepts: after the last one, padded."""
    expected = end = 0
    for tensor in tensors:
        what = f"the data of tensor {quoted(tensor.name)}"
        if tensor.offset % alignment:
            raise BadModelError(f"is damaged: {what} is not aligned to {alignment:,} bytes")
        if tensor.offset < expected:
            raise BadModelError(f"is damaged: {what} overlaps the tensor before it")
        if tensor.offset > expected:
            raise BadModelError(f"is damaged: {what} leaves a gap after the tensor before it")
        end = tensor.offset + tensor.size_bytes
        expected = _padded(end, alignment)
    if not tensors:
        # Nothing follows that a header would have to be padded for.
        return
    whole_bytes = _padded(header_bytes, alignment) + end
    if whole_bytes > size_bytes:
        missing_bytes = whole_bytes - size_bytes
        raise BadModelError(
            f"is cut short: {missing_bytes:,} of {whole_bytes:,} bytes are missing at its end"
        )


def _padded(size_bytes: int, alignment: int) -> int:
    return -(-size_bytes // alignment) * alignment
