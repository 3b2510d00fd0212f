"""Which model, and computed how: a state fits no other. Kind: hands."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS, KEY_BYTES

#: Raised whenever states of before can't be used, though all circumstances are the same.
FORMAT = 2

_END_BYTES = 1 << 20
_SAMPLES = 64
_SAMPLE_BYTES = 4096


def file_id(path: Path) -> bytes:
    """Tell a model file apart from others, whatever becomes of it.

    Not by all its bytes, which a small board reads for minutes, but by its size, its first and last
    MiB, and 64 places between: two models of one size differ in nearly all weights. And not by its
    time, which a copy need not have.

    Args:
        path: The GGUF file.

    Returns:
        `KEY_BYTES` bytes.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        digest = hashlib.blake2b(msgspec.msgpack.encode(size_bytes), digest_size=KEY_BYTES)
        digest.update(file.read(_END_BYTES))
        for sample in range(1, _SAMPLES + 1):
            file.seek(size_bytes * sample // (_SAMPLES + 1))
            digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(size_bytes - _END_BYTES, 0))
        digest.update(file.read(_END_BYTES))
    return digest.digest()


def fingerprint(path: Path, **circumstances: str | int) -> bytes:
    """Tell a model file's states apart from other files', and from its own computed otherwise.

    Args:
        path: The GGUF file.
        **circumstances: All that a state depends on beside it, such as the type of the cells.

    Returns:
        `KEY_BYTES` bytes.

    Raises:
        OSError: If the file cannot be read.
    """
    facts = [FORMAT, BLOCK_TOKENS, file_id(path), sorted(circumstances.items())]
    return hashlib.blake2b(msgspec.msgpack.encode(facts), digest_size=KEY_BYTES).digest()
