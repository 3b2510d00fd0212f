"""Requests to the disk thread, and its completions. Kind: words."""

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
    """Mark a block as used."""

    key: bytes


@dataclass(frozen=True, slots=True)
class DeleteBlock:
    """Delete a block's file."""

    key: bytes


@dataclass(frozen=True, slots=True)
class WriteBlock:
    """Write a block; ``own_bytes`` is the size of all of this model's files with it."""

    block: Block
    payload: Payload
    own_bytes: int


@dataclass(frozen=True, slots=True)
class ContinueWrite:
    """Write the next piece of the present block."""


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Delete all files."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Check whether a failed disk can be used again, and scan it."""


@dataclass(frozen=True, slots=True)
class ScanDone:
    """The blocks on a usable disk, and how many bytes may be written."""

    kept: list[StoredBlock]
    room_bytes: int


@dataclass(frozen=True, slots=True)
class ReadDone:
    """A block was read; ``payload`` is None if its file is missing or damaged."""

    block: Block
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class WriteDone:
    """A block was written, or there was no room; and how many bytes may be written."""

    key: bytes
    done: bool
    room_bytes: int


@dataclass(frozen=True, slots=True)
class DiskFailed:
    """The disk cannot be used, until the next `ScanDone`."""


IoRequest: TypeAlias = (
    ReadBlock | TouchBlock | DeleteBlock | WriteBlock | ContinueWrite | DeleteAll | Scan
)
IoCompletion: TypeAlias = ScanDone | ReadDone | WriteDone | DiskFailed
