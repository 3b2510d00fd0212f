"""One block in one file, verified by a checksum. Kind: hands.

The file is: magic and version, length of the header, length of the payload (little-endian, 8, 4 and
8 bytes); the header, msgpack; the payload; BLAKE2b-128 of all that.

Nothing is synced to the disk, as that would make other users of the card wait. After a power cut a
file may be torn, which its checksum shows, and its prompt is prefilled again.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec

from inglenook.engine.prefix_files import TEMPORARY_SUFFIX
from inglenook.engine.worker.prefix.blocks import TOKEN_BYTES, Block, Payload, block_after

#: Bytes written between two checks of whether the engine computes: some milliseconds.
PIECE_BYTES = 1 << 20

_MAGIC = b"INGLEKV1"
_LENGTHS = struct.Struct("<8sIQ")
_CHECKSUM_BYTES = 16


class Damaged(Exception):
    """A file does not hold what was written under its name."""


class _Header(msgspec.Struct, frozen=True):
    parent: bytes
    start: int
    tokens: bytes
    state: bool


def file_bytes(block: Block, payload_bytes: int) -> int:
    """Size of a block's file."""
    return len(_head(block, payload_bytes)) + payload_bytes + _CHECKSUM_BYTES


def write_block(path: Path, block: Block, payload: Payload) -> Generator[None]:
    """Write a block's file, mode 0600, in pieces: one at every step of the generator.

    It has its name only when it is complete. If the generator is closed early, or fails, nothing of
    it is left.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = path.with_suffix(TEMPORARY_SUFFIX)
    # Never through a link, and private from the start: the tokens are a private conversation.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            checksum = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
            for piece in _pieces(block, payload):
                checksum.update(piece)
                file.write(piece)
                yield
            file.write(checksum.digest())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_payload(path: Path, block: Block) -> memoryview:
    """Read the state of a block from its file; the buffer may be written to.

    Raises:
        Damaged: If the file differs from what was written for this block.
        OSError: If it cannot be read.
    """
    with _open(path) as file:
        data = memoryview(bytearray(os.fstat(file.fileno()).st_size))
        count = file.readinto(data)
    head_bytes = len(_head(block, 0))
    payload = data[head_bytes:-_CHECKSUM_BYTES]
    checksum = hashlib.blake2b(data[:-_CHECKSUM_BYTES], digest_size=_CHECKSUM_BYTES).digest()
    if (
        count != len(data)
        or data[:head_bytes] != _head(block, len(payload))
        or data[-_CHECKSUM_BYTES:] != checksum
    ):
        raise Damaged(path.name)
    return payload


def read_block(path: Path) -> Block:
    """Read which block a file holds, and check the file's length.

    Raises:
        Damaged: If it holds none, or another than its name says.
        OSError: If it cannot be read.
    """
    with _open(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        lengths = file.read(_LENGTHS.size)
        if len(lengths) != _LENGTHS.size:
            raise Damaged(path.name)
        magic, header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
        whole_bytes = _LENGTHS.size + header_bytes + payload_bytes + _CHECKSUM_BYTES
        if magic != _MAGIC or whole_bytes != size_bytes:
            raise Damaged(path.name)
        packed = file.read(header_bytes)
    try:
        header = msgspec.msgpack.decode(packed, type=_Header)
    except msgspec.DecodeError as exc:
        raise Damaged(path.name) from exc
    block = block_after(header.parent, header.start, header.tokens, state=header.state)
    if block.key.hex() != path.stem or not block.run or len(block.run) % TOKEN_BYTES:
        raise Damaged(path.name)
    return block


def _open(path: Path) -> io.FileIO:
    # Unbuffered: the payload is read straight into its place.
    return io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _head(block: Block, payload_bytes: int) -> bytes:
    header = msgspec.msgpack.encode(_Header(block.parent, block.start, block.run, block.state))
    return _LENGTHS.pack(_MAGIC, len(header), payload_bytes) + header


def _pieces(block: Block, payload: Payload) -> Iterator[bytes | memoryview]:
    yield _head(block, len(payload))
    view = memoryview(payload)
    for at in range(0, len(view), PIECE_BYTES):
        yield view[at : at + PIECE_BYTES]
