"""The beginning of a GGUF file, in the format's own bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


def header_bytes(pairs: Sequence[bytes], table: Sequence[bytes]) -> bytes:
    """Everything before the padding: magic, version, counts, metadata, tensors' names."""
    counts = struct.pack("<IQQ", 3, len(table), len(pairs))
    return b"".join((b"GGUF", counts, *pairs, *table))


def tensor_row(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    """One tensor; its shape has rows first, as ggml has it."""
    numbers = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text_bytes(name) + numbers + struct.pack("<IQ", kind, offset)


def pair(key: str, value: object) -> bytes:
    """One key with its value: a text, a number that is not negative, or some of one kind."""
    return text_bytes(key) + _value(value)


def text_bytes(text: str) -> bytes:
    """A text with its length before it."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: object) -> bytes:
    if isinstance(value, list | tuple):
        items = [_item(item) for item in value]
        kind = items[0][0]
        data = b"".join(data for _kind, data in items)
        return struct.pack("<IIQ", ARRAY, kind, len(items)) + data
    kind, data = _item(value)
    return struct.pack("<I", kind) + data


def _item(value: object) -> tuple[int, bytes]:
    match value:
        case bool():
            return BOOL, struct.pack("<?", value)
        case int():
            return UINT32, struct.pack("<I", value)
        case float():
            return FLOAT32, struct.pack("<f", value)
        case str():
            return STRING, text_bytes(value)
        case _:
            raise TypeError(value)
