"""Atomic replacement of files. Kind: hands."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(
    path: Path, data: bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Put ``data`` in place of the file; a power cut leaves the old content or the new.

    Args:
        path: Its folder must exist. A link is replaced, not followed.
        data: All of its content.
        mode: Its permissions, whatever the umask and its present ones.
        owner: User and group id of the file; for root only.

    Raises:
        OSError: If it cannot be written; the old file is then untouched.
    """
    # mkstemp creates with 0600, so others cannot read a secret even for a moment.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that its names survive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folder_owner(folder: Path) -> tuple[int, int] | None:
    """Return the user and group id for a new file in this folder.

    None for users other than root, whose files are their own.
    """
    if os.geteuid() != 0:
        return None
    found = folder.stat()
    return found.st_uid, found.st_gid
