"""The fingerprint of a model and of all else that its states depend on. Kind: hands."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS, KEY_BYTES

#: Raised when earlier states become unusable although all circumstances are the same.
FORMAT = 2

_END_BYTES = 1 << 20
_SAMPLES = 64
_SAMPLE_BYTES = 4096


def file_id(path: Path) -> bytes:
    """A digest that identifies a model file by its content, also after a copy or a move.

    Of its size, its first and last MiB, and 64 samples between, because a small board takes minutes
    to read all bytes; two models of one size differ in nearly all weights. Its time is left out, as
    a copy need not have it.

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
    """A digest that identifies a model file and the circumstances of its computation.

    Args:
        path: The GGUF file.
        **circumstances: All else that a state depends on, such as the type of the cells.

    Returns:
        `KEY_BYTES` bytes.

    Raises:
        OSError: If the file cannot be read.
    """
    facts = [FORMAT, BLOCK_TOKENS, file_id(path), sorted(circumstances.items())]
    return hashlib.blake2b(msgspec.msgpack.encode(facts), digest_size=KEY_BYTES).digest()
