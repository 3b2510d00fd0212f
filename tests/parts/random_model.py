"""A model of any architecture with random weights: by llama.cpp's own list of what it wants.

Vocabulary and chat template are real ones (`vocabularies`); layers are F32, so that many families
repeat themselves exactly, and the embedding is Q8_0.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np
import numpy.typing as npt

from tests.parts.families import Family
from tests.parts.gguf_pairs import (
    ARRAY,
    STRING,
    header_bytes,
    pair,
    tensor_row,
    text_bytes,
)
from tests.parts.vocabularies import vocabulary_folder
from tests.parts.wanted_tensors import Wanted, wanted_tensors

Values: TypeAlias = Mapping[str, object]
Weights: TypeAlias = npt.NDArray[np.float32]

_ALIGNMENT = 32
_NUMBER_BYTES = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)

#: A token that stands for itself alone, as ``<|im_start|>`` does.
_CONTROL = 3

#: What few published files have of what the library can take.
_OPTIONAL = (
    r"\.(scale|input_scale)$",
    r"rope_(freqs|factors_\w+)\.weight$",
    r"^output\.bias$",
    r"attn_(q|k|v|qkv|output)\.bias$",
    r"ffn_(gate|up|down)\.bias$",
    r"nextn\.(embed_tokens|shared_head_head)\.weight$",
    r"^dense_2",
)

_Q8_0, _F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F32


def write_random_model(
    path: Path, family: Family, *, seed: int = 0, changes: Values | None = None
) -> Path:
    """Write a model that llama.cpp loads and that answers nonsense; the same for the same seed.

    Args:
        path: Where; replaced if it is there.
        family: What it is to be.
        seed: Of its weights.
        changes: Metadata beyond the family's own; a name without its architecture's
            (``block_count``) or a whole one (``tokenizer.chat_template``), None to leave it out.
    """
    pairs = metadata_pairs(family, changes)
    path.write_bytes(header_bytes(pairs, []))
    tensors = [wanted for wanted in wanted_tensors(path) if _is_kept(wanted.name, family)]
    table, data, offset = [], [], 0
    for wanted in tensors:
        kind = _type(wanted, family)
        values = _quantized(_weights(wanted, family, seed), kind)
        table.append(tensor_row(wanted.name, wanted.shape, int(kind), offset))
        padded = values + bytes(-len(values) % _ALIGNMENT)
        data.append(padded)
        offset += len(padded)
    head = header_bytes(pairs, table)
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % _ALIGNMENT))
        file.writelines(data)
    return path


def write_header(path: Path, family: Family, *, changes: Values | None = None) -> Path:
    """Write what `write_random_model` writes, without any weights: enough to ask the library."""
    path.write_bytes(header_bytes(metadata_pairs(family, changes), []))
    return path


def metadata_pairs(family: Family, changes: Values | None = None) -> list[bytes]:
    """Give the pairs of such a file's metadata, in the format's own bytes."""
    template = family.template_text or Path(
        vocabulary_folder(), "templates", f"{family.template}.jinja"
    ).read_text(encoding="utf-8")
    values: dict[str, object] = {
        "general.architecture": family.architecture,
        "general.name": f"Random {family.name}",
        "tokenizer.chat_template": template,
    }
    for name, value in (dict(family.values) | dict(changes or {})).items():
        whole = name.startswith(("general.", "tokenizer.", "split.", "adapter."))
        values[name if whole else f"{family.architecture}.{name}"] = value
    kept = [(key, raw) for key, raw in _vocabulary(family) if key not in values]
    own = [pair(key, value) for key, value in values.items() if value is not None]
    return own + [text_bytes(key) + raw for key, raw in kept]


def _is_kept(name: str, family: Family) -> bool:
    if any(re.search(pattern, name) for pattern in family.has):
        return True
    if family.tied and name == "output.weight":
        return False
    return not any(re.search(pattern, name) for pattern in (*_OPTIONAL, *family.lacks))


def _type(wanted: Wanted, family: Family) -> gguf.GGMLQuantizationType:
    for pattern, kind in family.types:
        if re.search(pattern, wanted.name):
            return gguf.GGMLQuantizationType[kind]
    large = wanted.name in ("token_embd.weight", "output.weight", "per_layer_token_embd.weight")
    return _Q8_0 if large and wanted.shape[0] % 32 == 0 else _F32


def _weights(wanted: Wanted, family: Family, seed: int) -> Weights:
    name = wanted.name
    random = np.random.default_rng([seed, zlib.crc32(f"{family.name} {name}".encode())])
    values: Weights = random.standard_normal(wanted.shape[::-1], np.float32)
    middle, spread = _sizes(wanted, family)
    values *= np.float32(spread)
    values += np.float32(middle)
    # Running states have to fade.
    return -np.abs(values) - np.float32(0.1) if re.search(r"ssm_a(\.|$)", name) else values


def _sizes(wanted: Wanted, family: Family) -> tuple[float, float]:
    """Middle and spread with which no layer drowns another and one token stands out at the end."""
    name, embedded = wanted.name, family.embedding_size
    if name in ("output_norm.weight", "token_embd_norm.weight"):
        return 16 / embedded, 1 / embedded
    if re.search(r"norm\w*\.weight$|rope_(freqs|factors_\w+)\.weight$", name):
        return 1.0, 0.1
    if re.search(r"ssm_(a|d)(\.|$)", name):
        return 0.0, 1.0
    if len(wanted.shape) == 1 or name.endswith("bias"):
        return 0.0, 0.1
    if name in ("token_embd.weight", "per_layer_token_embd.weight", "output.weight"):
        return 0.0, 0.05 * embedded
    return 0.0, float(wanted.shape[0] ** -0.5)


def _quantized(values: Weights, kind: gguf.GGMLQuantizationType) -> bytes:
    return bytes(np.ascontiguousarray(gguf.quants.quantize(values, kind)).tobytes())


def _vocabulary(family: Family) -> list[tuple[str, bytes]]:
    """Read the pairs about tokens of a vocabulary's file, values undecoded.

    The family's own control tokens are put in place of words at the end of the vocabulary.
    """
    data = Path(vocabulary_folder(), f"{family.vocabulary}.gguf").read_bytes()
    (count,) = struct.unpack_from("<Q", data, 16)
    offset, found = 24, []
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", data, offset)
        key = data[offset + 8 : offset + 8 + length].decode()
        start = offset + 8 + length
        offset = _end(data, start)
        if key.startswith("tokenizer.ggml."):
            found.append((key, data[start:offset]))
    return _with_tokens(dict(found), family.tokens) if family.tokens else found


def _end(data: bytes, offset: int) -> int:
    """Tell where the value that begins here with its type ends."""
    (kind,) = struct.unpack_from("<I", data, offset)
    offset += 4
    if kind == ARRAY:
        kind, count = struct.unpack_from("<IQ", data, offset)
        offset += 12
    else:
        count = 1
    if kind != STRING:
        return int(offset + count * _NUMBER_BYTES[kind])
    for _ in range(count):
        offset += 8 + int.from_bytes(data[offset : offset + 8], "little")
    return int(offset)


def _with_tokens(pairs: dict[str, bytes], tokens: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Let the last tokens of a vocabulary that are plain words be these control tokens."""
    texts, kinds = _texts(pairs["tokenizer.ggml.tokens"]), pairs["tokenizer.ggml.token_type"]
    types = np.frombuffer(kinds, "<i4", offset=16).copy()
    missing = [token for token in tokens if token.encode() not in texts]
    plain = [index for index in range(len(texts) - 1, 0, -1) if types[index] == 1]
    for token, index in zip(missing, plain, strict=False):
        texts[index] = token.encode()
        types[index] = _CONTROL
    for token in set(tokens) - set(missing):
        types[texts.index(token.encode())] = _CONTROL
    rows = b"".join(struct.pack("<Q", len(text)) + text for text in texts)
    pairs["tokenizer.ggml.tokens"] = pairs["tokenizer.ggml.tokens"][:16] + rows
    pairs["tokenizer.ggml.token_type"] = kinds[:16] + types.tobytes()
    return list(pairs.items())


def _texts(raw: bytes) -> list[bytes]:
    offset, found = 16, []
    while offset < len(raw):
        length = int.from_bytes(raw[offset : offset + 8], "little")
        found.append(raw[offset + 8 : offset + 8 + length])
        offset += 8 + length
    return found
