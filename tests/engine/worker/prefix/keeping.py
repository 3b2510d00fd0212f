"""Prompts, states for them, and a way to wait for the disk: for the tests of the prefix cache."""

from __future__ import annotations

import hashlib
import os
import resource
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from inglenook.engine.worker.prefix.blocks import Block, cut, pack
from inglenook.engine.worker.prefix.store import Fetch, Store

ROOT = b"fingerprint of 1"
OTHER_ROOT = b"fingerprint of 2"

DEADLINE_S = 20.0

MIB = 2**20


def prompt(length: int, seed: int = 0) -> list[int]:
    """Tokens that no other seed begins with."""
    return [seed * 10_000 + place for place in range(length)]


def blocks_of(tokens: Sequence[int], *, states: bool = False) -> list[Block]:
    """A prompt's blocks, first to last."""
    return list(cut(ROOT, pack(tokens), states=states))


def state(tokens: Sequence[int], size_bytes: int = 1000) -> bytes:
    """What stands for the state after these tokens, and for no other's."""
    return hashlib.shake_128(pack(tokens)).digest(size_bytes)


@contextmanager
def opened(
    folder: Path | None,
    *,
    ram_bytes: int = MIB,
    disk_bytes: int = 64 * MIB,
    fingerprint: bytes = ROOT,
    states: bool = False,
) -> Iterator[Store]:
    """A store that has looked round in its folder."""
    store = Store(
        folder=folder,
        fingerprint=fingerprint,
        ram_bytes=ram_bytes,
        disk_bytes=disk_bytes,
        states=states,
    )
    try:
        if folder is not None and disk_bytes:
            next_news(store)
        yield store
    finally:
        store.close(DEADLINE_S)


def next_news(store: Store) -> None:
    """Take in the next completions."""
    assert select.select([store], [], [], DEADLINE_S)[0], "no news"
    store.poll()


def wait_until(store: Store, condition: Callable[[], bool]) -> None:
    """Take in completions until something holds; deletions have none."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at
        select.select([store], [], [], 0.01)
        store.poll()


def keep(store: Store, tokens: Sequence[int], size_bytes: int = 1000) -> None:
    """Put all of a prompt that is not stored."""
    for start, stop in store.missing(tokens):
        assert store.put(tokens, (start, stop), state(tokens[:stop], size_bytes))


def fetched(store: Store, tokens: Sequence[int]) -> Fetch:
    """Fetch, and wait for it."""
    fetch = store.fetch(tokens)
    wait_until(store, lambda: fetch.ready)
    return fetch


def written(store: Store, folder: Path, count: int) -> None:
    """Wait for that number of files, and for their completions."""
    wait_until(store, lambda: len(files(folder)) == count and not store._tiers._waiting)


def files(folder: Path) -> list[Path]:
    """Every file below a folder; others may be removing them, and it, at the same time."""
    return sorted(
        Path(inner) / name for inner, _folders, names in os.walk(folder) for name in names
    )


@contextmanager
def file_system(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow; the kernel sees to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
