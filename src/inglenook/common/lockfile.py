"""Exclusive file locks, released when the process that holds them ends. Kind: hands.

``flock(2)``: the kernel releases the lock however its holder dies. The file itself stays: if it
were removed, two processes could each hold the lock of a file by that name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from inglenook.common.wholefile import folder_owner

_POLL_S = 0.01

#: A holder's note is one short line.
_NOTE_BYTES_MAX = 200

#: O_NOFOLLOW: root may be opening this in a folder that another user controls. O_CLOEXEC: a child
#: that inherited the descriptor would hold the lock after its parent has died. O_NONBLOCK: a pipe
#: in the file's place does not block.
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LockFile:
    """Lock with one holder among all threads and processes, named by a file."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet; the file's folder must exist when the lock is taken."""
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self, note: str = "") -> bool:
        """Take the lock if it is free, until `release` or the end of the process.

        Args:
            note: Written into the file, for `held_by`; left out if the disk is full.

        Raises:
            OSError: If the file cannot be opened, or the file system has no locks
                (``ENOLCK``, ``EOPNOTSUPP`` or ``ENOSYS``).
        """
        if self._descriptor is None:
            self._descriptor = _open(self._path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if note:
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, f"{note}\n".encode(), 0)
                os.ftruncate(self._descriptor, len(note.encode()) + 1)
        return True

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock until the end of the block.

    Args:
        path: The lock's file.
        wait_s: Longest wait for other holders, seconds; blocks meanwhile.

    Raises:
        OSError: As `LockFile.try_acquire` does; `TimeoutError` if others hold it for ``wait_s``.
    """
    lock = LockFile(path)
    try:
        deadline = time.monotonic() + wait_s
        while not lock.try_acquire():
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"another process has held its lock for {wait_s:g} s"
                )
            time.sleep(_POLL_S)
        yield
    finally:
        lock.release()


def held_by(path: Path) -> str | None:
    """Return the holder's note, which may be empty; None if the lock is free or has no file.

    The lock is not taken; but a `LockFile.try_acquire` at this very moment fails.

    Raises:
        OSError: If the state cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    try:
        # Shared: any number of processes may ask at once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, _NOTE_BYTES_MAX, 0).decode(errors="replace").strip()
    finally:
        os.close(descriptor)
    return None


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR | _FLAGS)
    if owner := folder_owner(path.parent):
        os.fchown(descriptor, *owner)
    return descriptor
