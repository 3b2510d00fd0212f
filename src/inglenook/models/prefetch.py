"""Reads a model into the kernel's cache before it is loaded. Kind: hands."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

#: Bytes read between two checks of ``stop``: a tenth of a second from a slow card.
_PIECE_BYTES: Final = 1 << 20


def prefetch(path: Path, *, free_bytes: int, stop: threading.Event) -> int:
    """Bring a model's file into the kernel's cache, from where it is loaded at memory's speed.

    It is read, not only announced by ``posix_fadvise``: of one such request the kernel reads no
    more than a device takes at once (8 of 94 MiB here), some file systems ignore it, and there
    would be no way to stop. Blocks for as long as the disk takes: run it in a thread.

    Args:
        path: The file. An unreadable one is no error here; loading it will report that.
        free_bytes: Free memory. A larger file is left alone: its beginning would be evicted before
            its end was read, and other programs' files with it.
        stop: Set it to end the reading.

    Returns:
        The number of bytes read.
    """
    read_bytes = 0
    piece = bytearray(_PIECE_BYTES)
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > free_bytes:
                return 0
            while not stop.is_set() and (count := file.readinto(piece)):
                read_bytes += count
    except OSError:
        pass
    return read_bytes
