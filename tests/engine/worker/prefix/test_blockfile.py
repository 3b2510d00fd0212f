"""A file is believed only if every byte of it is as it was written."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.worker.prefix.blockfile import (
    PIECE_BYTES,
    Damaged,
    file_bytes,
    read_block,
    read_payload,
    write_block,
)
from inglenook.engine.worker.prefix.blocks import Block, Payload, block_after
from tests.engine.worker.prefix.keeping import ROOT, blocks_of, prompt

FIRST, TAIL = blocks_of(prompt(130))
STATE = bytes(range(256)) * 4


def write(folder: Path, block: Block, payload: Payload = STATE) -> Path:
    """Write a block's file to its end."""
    path = folder / f"{block.key.hex()}.kv"
    for _piece in write_block(path, block, payload):
        pass
    return path


@pytest.mark.parametrize("block", [FIRST, TAIL], ids=["first", "tail"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size_bytes", [0, 1000, PIECE_BYTES + 1])
def test_what_was_written_is_read(
    tmp_path: Path, block: Block, kind: Callable[[bytes], Payload], size_bytes: int
) -> None:
    """The state, in whatever it was handed over, and which block it is of."""
    payload = kind(os.urandom(size_bytes))
    path = write(tmp_path, block, payload)

    assert read_payload(path, block) == payload
    assert read_block(path) == block
    assert path.stat().st_size == file_bytes(block, len(payload))


def test_a_state_can_be_handed_on_without_copying_it(tmp_path: Path) -> None:
    """The library wants a buffer it could write to."""
    assert not read_payload(write(tmp_path, FIRST), FIRST).readonly


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Also while it is written: it holds a conversation."""
    pieces = write_block(tmp_path / "a.kv", FIRST, STATE)
    next(pieces)
    [path] = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pieces.close()

    assert stat.S_IMODE(write(tmp_path, FIRST).stat().st_mode) == 0o600


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    """It is written in pieces, and others may look meanwhile."""
    path = tmp_path / "a.kv"
    steps = 0
    for _piece in write_block(path, FIRST, bytes(2 * PIECE_BYTES + 1)):
        assert not path.exists()
        steps += 1

    assert path.exists()
    assert steps == 4  # the head, two pieces and a byte
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    """No half file, no temporary one."""
    pieces = write_block(tmp_path / "a.kv", FIRST, STATE)
    next(pieces)
    pieces.close()

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    """A link must not choose the file that is overwritten."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    (tmp_path / "a.tmp").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic link"):
        next(write_block(tmp_path / "a.kv", FIRST, STATE))
    assert victim.read_bytes() == b"theirs"


def test_every_byte_counts(tmp_path: Path) -> None:
    """Any one of them changed, and the file is not believed; nor is one that lacks its end."""
    path = write(tmp_path, TAIL, STATE[:64])
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        for broken in (changed, data[:place]):
            path.write_bytes(broken)
            with pytest.raises(Damaged):
                read_payload(path, TAIL)


def test_a_file_with_more_or_nothing_in_it_is_not_believed(tmp_path: Path) -> None:
    """A power cut can leave nothing but zeros."""
    path = write(tmp_path, FIRST)
    data = path.read_bytes()
    for broken in (b"", data * 2, data + bytes(1), bytes(len(data))):
        path.write_bytes(broken)
        with pytest.raises(Damaged):
            read_payload(path, FIRST)


def test_another_blocks_file_is_not_believed(tmp_path: Path) -> None:
    """Whole as it is, under a name it has no right to."""
    write(tmp_path, TAIL).rename(tmp_path / f"{FIRST.key.hex()}.kv")

    with pytest.raises(Damaged):
        read_payload(tmp_path / f"{FIRST.key.hex()}.kv", FIRST)
    with pytest.raises(Damaged):
        read_block(tmp_path / f"{FIRST.key.hex()}.kv")


def raw(header: bytes, *, magic: bytes = b"INGLEKV1") -> bytes:
    return struct.pack("<8sIQ", magic, len(header), 0) + header + bytes(16)


def packed(**fields: object) -> bytes:
    return msgspec.msgpack.encode({"parent": ROOT, "start": 0, "tokens": FIRST.run} | fields)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"INGLEKV1",
        raw(packed(), magic=b"INGLEKV2"),
        raw(b""),
        raw(b"\xc1"),
        raw(packed(tokens=b"")),
        raw(packed(tokens=b"123")),
        raw(packed(tokens="text")),
        raw(packed(start="0")),
        raw(packed()) + b"more",
    ],
    ids=range(10),
)
def test_a_file_of_no_block_is_none(tmp_path: Path, data: bytes) -> None:
    """Looking round in a folder stops at nothing."""
    path = tmp_path / f"{FIRST.key.hex()}.kv"
    path.write_bytes(data)

    with pytest.raises(Damaged):
        read_block(path)


@pytest.mark.parametrize("run", [b"", b"123"])
def test_a_block_of_no_tokens_is_none(tmp_path: Path, run: bytes) -> None:
    """Even under the name it would have."""
    block = block_after(ROOT, 0, run)

    with pytest.raises(Damaged):
        read_block(write(tmp_path, block))


def test_a_file_that_is_not_there_is_the_callers_to_judge(tmp_path: Path) -> None:
    """It may have been a clean-up by hand."""
    for read in (read_block, lambda path: read_payload(path, FIRST)):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "a.kv")
