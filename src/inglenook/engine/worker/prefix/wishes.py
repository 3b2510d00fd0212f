"""What the engine wants done with files, and what it hears of them. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.tiers import Kept


@dataclass(frozen=True, slots=True)
class Read:
    """Read a block."""

    block: Block


@dataclass(frozen=True, slots=True)
class Touch:
    """Note that a block was used."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a block's file."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """Write a block; with it, all of this model's files come to ``own_bytes``."""

    block: Block
    payload: Payload
    own_bytes: int


@dataclass(frozen=True, slots=True)
class WriteOn:
    """Write the next piece of the block that was begun."""


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove all files."""


@dataclass(frozen=True, slots=True)
class Look:
    """See whether a disk that was lost can be used again, and what is there."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there when the disk can be used, and how much more may be written."""

    kept: list[Kept]
    room_bytes: int


@dataclass(frozen=True, slots=True)
class Came:
    """A block was read; None if its file is gone or was damaged."""

    block: Block
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class Written:
    """A block is on disk, or else there was no room for it; and how much more may be written."""

    key: bytes
    done: bool
    room_bytes: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The disk cannot be used, until it is `Found` again."""


Wish: TypeAlias = Read | Touch | Delete | Write | WriteOn | Purge | Look
News: TypeAlias = Found | Came | Written | Lost
