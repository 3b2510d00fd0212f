"""Has the C library give memory back that is no longer used. Kind: hands."""

from __future__ import annotations

import ctypes

#: Numbers of mallopt(3) in glibc's malloc.h; other C libraries have no such function.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8

#: Blocks of this size and more are mapped by themselves, so they go when they are freed. asyncio
#: reads 256 KiB at a time from each socket, and between the small blocks that live on, such large
#: ones tear the heap: with twenty phones connected it has 4 MB less so.
_LARGE_BYTES = 64 << 10


def keep_heap_small() -> None:
    """Call it before anything is allocated that matters; the engine's process is not affected."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, 1)
