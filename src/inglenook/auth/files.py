"""Files that hold secrets: private from the start, replaced whole or not at all. Kind: hands."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inglenook import lockfile
from inglenook.wholefile import folder_owner, write_whole

#: Nothing we keep comes near this; a larger file is not ours.
READ_BYTES_MAX = 1 << 20


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
    write_whole(path, data, mode=0o600, owner=folder_owner(path.parent))


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Keep other threads and processes from changing the file meanwhile, by a lock file beside it.

    Raises:
        OSError: If the lock file cannot be made; `TimeoutError` if others hold it for ``wait_s``.
    """
    with lockfile.locked(path.with_name(f"{path.name}.lock"), wait_s):
        yield
