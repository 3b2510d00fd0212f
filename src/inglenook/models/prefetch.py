"""Has the kernel read a model before anybody loads it. Kind: hands."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

#: So much is read between two looks at whether to stop: a tenth of a second from a slow card.
_PIECE_BYTES: Final = 1 << 20


def prefetch(path: Path, *, free_bytes: int, stop: threading.Event) -> int:
    """Bring a model's file into the kernel's cache, from where it is loaded at memory's speed.

    It is read, not only announced by ``posix_fadvise``: of one such request the kernel reads no
    more than a device takes at once (8 of 94 MiB here), some file systems ignore it, and there
    would be no way to stop. Blocks for as long as the disk takes: run it in a thread.

    Args:
        path: The file. Of one that cannot be read nothing is said here; loading it will.
        free_bytes: Memory nobody needs. A file that is larger is left alone: its beginning would
            have gone by the time its end was there, and other programs' files with it.
        stop: Set it to end the reading.

    Returns:
        How many bytes were read.
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
