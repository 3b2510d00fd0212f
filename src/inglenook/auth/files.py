"""Files that hold secrets: private from the start, replaced whole or not at all. Kind: hands."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inglenook.wholefile import write_whole

#: Nothing we keep comes near this; a larger file is not ours.
READ_BYTES_MAX = 1 << 20

_LOCK_POLL_S = 0.01


def read_private(path: Path) -> bytes:
    """Read a whole small file.

    Raises:
        OSError: As `open` does, or if it is larger than `READ_BYTES_MAX`.
    """
    with path.open("rb") as file:
        data = file.read(READ_BYTES_MAX + 1)
    if len(data) > READ_BYTES_MAX:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def write_private(path: Path, data: bytes) -> None:
    """Put ``data`` in place of the file, mode 0600; a power cut leaves the old content or the new.

    The folder must exist. When root writes into another user's folder, as ``sudo inglenook`` does,
    the file becomes that user's, or the daemon could no longer read it.

    Raises:
        OSError: If it cannot be written; the old file is then untouched.
    """
    write_whole(path, data, mode=0o600, owner=_owner(path.parent))


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Keep other threads and processes from changing the file meanwhile, by a lock file beside it.

    Raises:
        OSError: If the lock file cannot be made; `TimeoutError` if others hold it for ``wait_s``.
    """
    descriptor = _open_lock(path.with_name(f"{path.name}.lock"))
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"another process has held its lock for {wait_s:g} s"
                )
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def _open_lock(path: Path) -> int:
    # Never through a link: root may be opening this in a folder that another user controls.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    if owner := _owner(path.parent):
        os.fchown(descriptor, *owner)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(folder: Path) -> tuple[int, int] | None:
    """Whom a file in this folder shall belong to, if we have a say in it."""
    if os.geteuid() != 0:
        return None
    found = folder.stat()
    return found.st_uid, found.st_gid
