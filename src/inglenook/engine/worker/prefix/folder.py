"""The cache's folder: its content at start, and its free space. Kind: hands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.engine.prefix_files import TEMPORARY_SUFFIX, cache_files
from inglenook.engine.worker.prefix.blockfile import Damaged, read_block
from inglenook.engine.worker.prefix.tiers import StoredBlock

#: Left free whatever the bounds are: everything on the box fails on a full file system.
SPARE_BYTES: Final = 512 * 2**20
SPARE_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file that belongs to another model."""

    path: Path
    file_bytes: int
    used_ns: int


def scan_folder(folder: Path, own: str) -> tuple[list[StoredBlock], list[ForeignFile]]:
    """List the files; delete unfinished and damaged ones.

    Args:
        folder: Holds the folders of all fingerprints.
        own: Name of the folder whose blocks are wanted.

    Returns:
        Its blocks in no order, and the files of other folders, least recently used first.

    Raises:
        OSError: If the folder cannot be read or changed.
    """
    kept: list[StoredBlock] = []
    foreign: list[ForeignFile] = []
    for path, status in cache_files(folder):
        if path.suffix == TEMPORARY_SUFFIX:
            path.unlink(missing_ok=True)
        elif path.parent.name != own:
            foreign.append(ForeignFile(path, status.st_size, status.st_mtime_ns))
        else:
            try:
                kept.append(StoredBlock(read_block(path), status.st_size, status.st_mtime_ns))
            except (Damaged, OSError):
                path.unlink(missing_ok=True)
    foreign.sort(key=lambda file: file.used_ns)
    return kept, foreign


def room_bytes(folder: Path) -> int:
    """Bytes that may be written to the folder's file system; below 0 if there are too many.

    Raises:
        OSError: If the file system cannot be queried.
    """
    status = os.statvfs(folder)
    spare_bytes = max(SPARE_BYTES, int(status.f_blocks * status.f_frsize * SPARE_SHARE))
    return status.f_bavail * status.f_frsize - spare_bytes
