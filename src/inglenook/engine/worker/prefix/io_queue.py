"""Wishes from the engine's thread to the disk's, and news back. Kind: hands.

Neither side waits for the other: the lock is only held to look at a few names. What somebody waits
for is read first. Writing waits for a pause in computing, because the library's threads spin while
they wait for each other: if one of them loses its core to us, it holds up all of them. What nobody
waits for is read in such a pause, and last.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Final

from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.io_requests import (
    ContinueWrite,
    DeleteAll,
    DeleteBlock,
    DiskFailed,
    News,
    ReadBlock,
    Scan,
    ScanDone,
    TouchBlock,
    Wish,
    WriteBlock,
)

#: How long a piece waits for a pause: a box that never pauses gets half a MiB a second written.
PATIENCE_S: Final = 2.0

#: How often a disk that was lost is looked at again.
LOOK_EVERY_S: Final = 60.0


class IoQueue:
    """Holds wishes until they are due, and news until they are taken."""

    def __init__(self, bell: int) -> None:
        """Ring ``bell``, an eventfd, at news."""
        self._bell = bell
        self._changed = threading.Condition()
        # By key: of several wishes for one file only the last counts.
        self._reads: dict[bytes, ReadBlock] = {}
        self._chores: dict[bytes, TouchBlock | DeleteBlock] = {}
        self._writes: dict[bytes, WriteBlock] = {}
        self._prefetch: ReadBlock | None = None
        self._reading: bytes | None = None
        self._purge = False
        self._computing = False
        self._impatient_at: float | None = None
        self._ends_at: float | None = None
        self._lost = False
        self._look_at: float | None = None
        self._news: list[News] = []
        # A purge begins a new era; news of what was begun in the one before is void.
        self._era = self._wish_era = 0

    def read(self, block: Block) -> None:
        """Wish for a block."""
        with self._changed:
            # What is being read for whatever reason will come.
            if not self._lost and block.key != self._reading:
                self._reads[block.key] = ReadBlock(block)
                self._changed.notify()

    def unread(self, key: bytes) -> None:
        """Nobody wants that block any more."""
        with self._changed:
            self._reads.pop(key, None)

    def prefetch(self, block: Block | None) -> None:
        """Wish for a block that nobody waits for, in place of the last such wish; None is for none.

        It is read when there is nothing else to do, and the engine does not compute.
        """
        with self._changed:
            if not self._lost:
                self._prefetch = ReadBlock(block) if block is not None else None
                self._changed.notify()

    def write(self, wish: WriteBlock) -> None:
        """Wish for a block to be written, some time."""
        with self._changed:
            if not self._lost:
                self._chores.pop(wish.block.key, None)
                self._writes[wish.block.key] = wish
                self._changed.notify()

    def delete(self, key: bytes) -> None:
        """Wish for a block's file to be gone, written or not."""
        with self._changed:
            if not self._lost:
                self._writes.pop(key, None)
                self._chores[key] = DeleteBlock(key)
                self._changed.notify()

    def touch(self, keys: Iterable[bytes]) -> None:
        """Wish for files to be known as just used, the last most recently."""
        with self._changed:
            for key in keys:
                if not self._lost and key not in self._writes and key not in self._chores:
                    self._chores[key] = TouchBlock(key)
            self._changed.notify()

    def purge(self) -> None:
        """Wish for everything to be gone; all other wishes end, and there is no news of them."""
        with self._changed:
            self._clear()
            self._news = [kept for news in self._news if (kept := _beyond_purge(news)) is not None]
            self._era += 1
            self._purge = True
            self._changed.notify()

    def set_computing(self, *, computing: bool) -> None:
        """Say whether the engine computes from now on."""
        with self._changed:
            self._computing = computing
            if not computing:
                self._changed.notify()

    def end(self, deadline_s: float) -> None:
        """Wish for nothing more; what is to be written has so many seconds."""
        with self._changed:
            self._reads.clear()
            self._prefetch = None
            self._ends_at = time.monotonic() + deadline_s
            self._changed.notify()

    def news(self) -> list[News]:
        """Take what has happened since the last call."""
        with self._changed:
            news, self._news = self._news, []
            return news

    def take(self, *, writing: bool) -> Wish | None:
        """For the disk's thread: wait for what is to be done next.

        Args:
            writing: A block is begun and not finished.

        Returns:
            None at the end.
        """
        with self._changed:
            while (wish := self._due(writing=writing)) is None:
                if self._ends_at is not None:
                    return None
                self._changed.wait(self._patience_s())
            self._wish_era = self._era
            if isinstance(wish, ReadBlock):
                self._reading = wish.block.key
                if wish == self._prefetch:
                    self._prefetch = None
            return wish

    def post(self, news: News) -> None:
        """For the disk's thread: tell what came of the wish it took last."""
        with self._changed:
            self._reading = None
            told = news if self._wish_era == self._era else _beyond_purge(news)
            if told is not None:
                self._news.append(told)
                os.eventfd_write(self._bell, 1)

    def lose(self) -> None:
        """For the disk's thread: no wish can be fulfilled for now, but for a purge and a look."""
        with self._changed:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            if not self._lost:
                self._lost = True
                self._clear()
                self._news.append(DiskFailed())
                os.eventfd_write(self._bell, 1)

    def find(self) -> None:
        """For the disk's thread: wishes can be fulfilled again."""
        with self._changed:
            self._lost = False

    def _due(self, *, writing: bool) -> Wish | None:
        now = time.monotonic()
        if self._purge:
            self._purge = False
            return DeleteAll()
        if self._ends_at is not None and now >= self._ends_at:
            return None
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            return Scan()
        for wishes in (self._reads, self._chores):
            if wishes:
                return wishes.pop(next(iter(wishes)))
        if not writing and not self._writes:
            self._impatient_at = None
            return None if self._computing else self._prefetch
        if self._impatient_at is None:
            self._impatient_at = now + PATIENCE_S
        if self._computing and self._ends_at is None and now < self._impatient_at:
            return None
        self._impatient_at = None
        return ContinueWrite() if writing else self._writes.pop(next(iter(self._writes)))

    def _patience_s(self) -> float | None:
        moments = [at for at in (self._impatient_at, self._look_at) if at is not None]
        return max(min(moments) - time.monotonic(), 0.0) if moments else None

    def _clear(self) -> None:
        self._reads.clear()
        self._prefetch = self._reading = None
        self._chores.clear()
        self._writes.clear()


def _beyond_purge(news: News) -> News | None:
    """What remains of news when everything is to go: whether there is a disk."""
    match news:
        case DiskFailed():
            return news
        case ScanDone(_, room_bytes):
            return ScanDone([], room_bytes)
        case _:
            return None
