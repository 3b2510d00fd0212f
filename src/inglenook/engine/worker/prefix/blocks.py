"""Runs of tokens, each named by all that stands before it. Kind: rules."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Tokens of a run. Smaller ones share more between prompts that part in the middle of one; larger
#: ones make fewer files: of the models that fit small boards, 128 tokens are 1 to 5 MB of state.
BLOCK_TOKENS: Final = 128

TOKEN_BYTES: Final = 4
KEY_BYTES: Final = 16

#: The state of a run's cells, as the library gave it. Nobody may change it once it is handed over.
Payload: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Block:
    """A run of tokens at its place in a prompt.

    Attributes:
        key: Digest of the model, the namespace, all tokens up to the run's last, and of ``state``.
        parent: Key of the run before it; for the first what `root_of` gives.
        start: How many tokens stand before it.
        run: Its tokens, as `pack` writes them.
        state: Its payload has more than the run's cells: what the model keeps of all tokens so far
            and cannot be cut. Only with that can one go on, and only right after it.
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
    """The parent of first blocks: of one model, and of one namespace, as `StartJob` has it."""
    if not namespace:
        return fingerprint
    data = fingerprint + namespace
    return hashlib.blake2b(data, digest_size=KEY_BYTES, person=b"namespace").digest()


def pack(tokens: Sequence[int]) -> bytes:
    """Write tokens as little-endian 32-bit integers: hashed, kept and compared without loops."""
    return struct.pack(f"<{len(tokens)}i", *tokens)


def block_after(parent: bytes, start: int, run: bytes, *, state: bool = False) -> Block:
    """The block that a packed run is after ``parent``."""
    return Block(key_after(parent, run, state=state), parent, start, run, state)


def key_after(parent: bytes, run: bytes, *, state: bool = False) -> bytes:
    """The key of a packed run after ``parent``."""
    person = b"state" if state else b""
    return hashlib.blake2b(parent + run, digest_size=KEY_BYTES, person=person).digest()


def cut(root: bytes, packed: bytes, *, states: bool) -> Iterator[Block]:
    """Cut a packed prompt into its blocks; the last may be shorter, and with ``states`` has one."""
    parent = root
    width = BLOCK_TOKENS * TOKEN_BYTES
    for at in range(0, len(packed), width):
        run = packed[at : at + width]
        last = at + width >= len(packed)
        block = block_after(parent, at // TOKEN_BYTES, run, state=states and last)
        yield block
        parent = block.key


def agreement(one: bytes, other: bytes) -> int:
    """How many tokens two packed runs have in common from the start."""
    length = min(len(one), len(other))
    differing = int.from_bytes(one[:length], "little") ^ int.from_bytes(other[:length], "little")
    if not differing:
        return length // TOKEN_BYTES
    # The lowest bit in which they differ lies in the first token in which they do.
    lowest = (differing & -differing).bit_length() - 1
    return lowest // (8 * TOKEN_BYTES)
