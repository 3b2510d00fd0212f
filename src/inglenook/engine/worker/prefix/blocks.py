"""Blocks of tokens, each named by a digest of all tokens up to its end. Kind: rules."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Tokens of a block. Smaller ones share more between prompts that differ in the middle of one,
#: larger ones make fewer files: 128 tokens of models that fit small boards are 1 to 5 MB of state.
BLOCK_TOKENS: Final = 128

TOKEN_BYTES: Final = 4
KEY_BYTES: Final = 16

#: The state of a block's cells, as the library gave it. Not to be changed once it is handed over.
Payload: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Block:
    """A run of tokens at its position in a prompt.

    Attributes:
        key: Digest of the model, the namespace, all tokens up to the run's last, and of ``state``.
        parent: Key of the block before it; of the first, what `root_of` returns.
        start: Number of tokens before it.
        run: Its tokens, as `pack` writes them.
        state: Its payload includes the model's running state after all tokens so far, which cannot
            be cut. A sequence can continue only from such a state, right after it.
    """

    key: bytes
    parent: bytes
    start: int
    run: bytes
    state: bool = False

    @property
    def stop(self) -> int:
        """Position after its last token."""
        return self.start + len(self.run) // TOKEN_BYTES


def root_of(fingerprint: bytes, namespace: bytes) -> bytes:
    """The parent of the first blocks of one model in one namespace; see `StartJob`."""
    if not namespace:
        return fingerprint
    data = fingerprint + namespace
    return hashlib.blake2b(data, digest_size=KEY_BYTES, person=b"namespace").digest()


def pack(tokens: Sequence[int]) -> bytes:
    """Write tokens as little-endian 32-bit integers: hashed, stored, compared without loops."""
    return struct.pack(f"<{len(tokens)}i", *tokens)


def block_after(parent: bytes, start: int, run: bytes, *, state: bool = False) -> Block:
    """The block of a packed run after ``parent``."""
    return Block(key_after(parent, run, state=state), parent, start, run, state)


def key_after(parent: bytes, run: bytes, *, state: bool = False) -> bytes:
    """The key of a packed run after ``parent``."""
    person = b"state" if state else b""
    return hashlib.blake2b(parent + run, digest_size=KEY_BYTES, person=person).digest()


def cut(root: bytes, packed: bytes, *, states: bool) -> Iterator[Block]:
    """Cut a packed prompt into blocks; the last may be shorter, and has a state if ``states``."""
    parent = root
    width = BLOCK_TOKENS * TOKEN_BYTES
    for at in range(0, len(packed), width):
        run = packed[at : at + width]
        last = at + width >= len(packed)
        block = block_after(parent, at // TOKEN_BYTES, run, state=states and last)
        yield block
        parent = block.key


def agreement(one: bytes, other: bytes) -> int:
    """Length of the common prefix of two packed runs, in tokens."""
    length = min(len(one), len(other))
    differing = int.from_bytes(one[:length], "little") ^ int.from_bytes(other[:length], "little")
    if not differing:
        return length // TOKEN_BYTES
    # The lowest bit in which they differ lies in the first token in which they do.
    lowest = (differing & -differing).bit_length() - 1
    return lowest // (8 * TOKEN_BYTES)
