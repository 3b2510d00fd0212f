"""Files that hold secrets: private from the start, replaced whole or not at all. Kind: hands."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inglenook.common import lockfile
from inglenook.common.wholefile import folder_owner, write_whole

#: Far above any file of ours; a larger one is foreign.
READ_BYTES_MAX = 1 << 20


def read_private(path: Path) -> bytes:
    """Read a whole small file.

    Raises:
        OSError: As `open` does, or if it is no regular file, or larger than `READ_BYTES_MAX`.
    """
    # A pipe in its place does not block: the folder may be another user's.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # Closed here: `open` leaves a folder's descriptor open when it refuses it.
        with open(descriptor, "rb", closefd=False) as file:  # of a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            data = file.read(READ_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
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
    write_whole(path, data, mode=0o600, owner=folder_owner(path.parent))


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Lock the file against other threads and processes, by a lock file beside it.

    Raises:
        OSError: If the lock file cannot be made; `TimeoutError` if others hold it for ``wait_s``.
    """
    with lockfile.locked(path.with_name(f"{path.name}.lock"), wait_s):
        yield
