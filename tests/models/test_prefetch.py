"""A model is in the kernel's cache before it is loaded, unless it would push others out."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
from pathlib import Path

import pytest

from inglenook.models.prefetch import prefetch

SIZE_BYTES = 4 * 2**20 + 1
PLENTY_BYTES = 2**40
DEADLINE_S = 30.0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of many pieces, none of it in memory."""
    path = tmp_path / "model.gguf"
    path.write_bytes(os.urandom(2**20) * (SIZE_BYTES // 2**20) + b"x")
    with path.open("r+b") as file:
        # What is not on the disk yet cannot be dropped.
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached_share(path) > 0.1:
        pytest.skip("needs a file system on a disk")
    return path


def cached_share(path: Path) -> float:
    """How much of a file is in memory, by the kernel's own word."""
    libc = ctypes.CDLL(None, use_errno=True)
    size_bytes = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE) as mapped:
        pages = (ctypes.c_ubyte * -(-size_bytes // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(size_bytes), pages)
        # Nothing may point into the mapping when it ends.
        del start
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in pages) / len(pages)


def test_afterwards_the_file_is_in_memory(model: Path) -> None:
    """All of it, though nobody has loaded it."""
    assert prefetch(model, free_bytes=PLENTY_BYTES, stop=threading.Event()) == SIZE_BYTES
    assert cached_share(model) > 0.99


def test_a_file_that_is_larger_than_what_is_free_is_left_alone(model: Path) -> None:
    """It would push out what others need, and itself; one that just fits is read."""
    stop = threading.Event()

    assert prefetch(model, free_bytes=SIZE_BYTES - 1, stop=stop) == 0
    assert cached_share(model) < 0.1
    assert prefetch(model, free_bytes=SIZE_BYTES, stop=stop) == SIZE_BYTES


def test_one_who_is_told_to_stop_reads_no_further(model: Path) -> None:
    """The box may have changed its mind."""
    stop = threading.Event()
    stop.set()

    assert prefetch(model, free_bytes=PLENTY_BYTES, stop=stop) == 0
    assert cached_share(model) < 0.1


def test_it_stops_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """A pipe stands for a file that never ends."""
    path = tmp_path / "endless"
    os.mkfifo(path)
    stop = threading.Event()
    read: list[int] = []
    thread = threading.Thread(
        target=lambda: read.append(prefetch(path, free_bytes=PLENTY_BYTES, stop=stop))
    )
    thread.start()
    with path.open("wb", buffering=0) as writer:
        # More than a pipe holds, so some of it has been read when this returns.
        writer.write(bytes(2**20))
        stop.set()
        # It may be waiting for more, or be gone.
        with contextlib.suppress(BrokenPipeError):
            writer.write(b"x")
        thread.join(DEADLINE_S)

        assert not thread.is_alive()
    assert 0 < read[0] <= 2**20 + 1


@pytest.mark.parametrize("name", ["missing.gguf", ""], ids=["no file", "a folder"])
def test_a_file_that_cannot_be_read_is_no_error_here(tmp_path: Path, name: str) -> None:
    """Loading it is what fails, and what says why."""
    assert prefetch(tmp_path / name, free_bytes=PLENTY_BYTES, stop=threading.Event()) == 0
