"""What the engine wants done with files, and what it hears of them. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.tiers import StoredBlock


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """Read a block."""

    block: Block


@dataclass(frozen=True, slots=True)
class TouchBlock:
    """Note that a block was used."""

    key: bytes


@dataclass(frozen=True, slots=True)
class DeleteBlock:
    """Remove a block's file."""

    key: bytes


@dataclass(frozen=True, slots=True)
class WriteBlock:
    """Write a block; with it, all of this model's files come to ``own_bytes``."""

    block: Block
    payload: Payload
    own_bytes: int


@dataclass(frozen=True, slots=True)
class ContinueWrite:
    """Write the next piece of the block that was begun."""


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Remove all files."""


@dataclass(frozen=True, slots=True)
class Scan:
    """See whether a disk that was lost can be used again, and what is there."""


@dataclass(frozen=True, slots=True)
class ScanDone:
    """What is there when the disk can be used, and how much more may be written."""

    kept: list[StoredBlock]
    room_bytes: int


@dataclass(frozen=True, slots=True)
class ReadDone:
    """A block was read; None if its file is gone or was damaged."""

    block: Block
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class WriteDone:
    """A block is on disk, or else there was no room for it; and how much more may be written."""

    key: bytes
    done: bool
    room_bytes: int


@dataclass(frozen=True, slots=True)
class DiskFailed:
    """The disk cannot be used, until it is `ScanDone` again."""


IoRequest: TypeAlias = (
    ReadBlock | TouchBlock | DeleteBlock | WriteBlock | ContinueWrite | DeleteAll | Scan
)
IoCompletion: TypeAlias = ScanDone | ReadDone | WriteDone | DiskFailed
