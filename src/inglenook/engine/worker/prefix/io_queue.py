"""Requests from the engine thread to the disk thread, and completions back. Kind: hands.

Neither thread waits for the other: the lock is held for a few lookups only. Reads that a request
waits for come first. Writes wait for a pause in computing, because the library's threads spin while
they wait for each other: if one of them loses its core to us, all are held up. Prefetching comes
last, in such a pause.
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
    IoCompletion,
    IoRequest,
    ReadBlock,
    Scan,
    ScanDone,
    TouchBlock,
    WriteBlock,
)

#: How long a piece waits for a pause; without pauses half a MiB a second is written.
WRITE_DELAY_MAX_S: Final = 2.0

#: Interval at which a failed disk is tried again.
RETRY_EVERY_S: Final = 60.0


class IoQueue:
    """Holds requests until they are due, and completions until they are taken."""

    def __init__(self, event_fd: int) -> None:
        """Write to ``event_fd``, an eventfd, at each completion."""
        self._event_fd = event_fd
        self._changed = threading.Condition()
        # By key: of several requests for one file only the last counts.
        self._reads: dict[bytes, ReadBlock] = {}
        self._chores: dict[bytes, TouchBlock | DeleteBlock] = {}
        self._writes: dict[bytes, WriteBlock] = {}
        self._prefetch: ReadBlock | None = None
        self._reading: bytes | None = None
        self._purge = False
        self._computing = False
        self._write_due_at: float | None = None
        self._close_at: float | None = None
        self._failed = False
        self._retry_at: float | None = None
        self._completions: list[IoCompletion] = []
        # A purge begins a new epoch; completions of requests from before it are void.
        self._epoch = self._request_epoch = 0

    def read(self, block: Block) -> None:
        """Request a block."""
        with self._changed:
            # A block that is being read, even by prefetching, need not be read again.
            if not self._failed and block.key != self._reading:
                self._reads[block.key] = ReadBlock(block)
                self._changed.notify()

    def cancel_read(self, key: bytes) -> None:
        """Withdraw the request for a block."""
        with self._changed:
            self._reads.pop(key, None)

    def prefetch(self, block: Block | None) -> None:
        """Prefetch a block instead of the one requested last; None for no block.

        It is read when no other request is due and the engine does not compute.
        """
        with self._changed:
            if not self._failed:
                self._prefetch = ReadBlock(block) if block is not None else None
                self._changed.notify()

    def write(self, request: WriteBlock) -> None:
        """Request that a block be written, at some time."""
        with self._changed:
            if not self._failed:
                self._chores.pop(request.block.key, None)
                self._writes[request.block.key] = request
                self._changed.notify()

    def delete(self, key: bytes) -> None:
        """Request that a block's file be deleted, written or not."""
        with self._changed:
            if not self._failed:
                self._writes.pop(key, None)
                self._chores[key] = DeleteBlock(key)
                self._changed.notify()

    def touch(self, keys: Iterable[bytes]) -> None:
        """Mark files as just used, the last one as the most recent."""
        with self._changed:
            for key in keys:
                if not self._failed and key not in self._writes and key not in self._chores:
                    self._chores[key] = TouchBlock(key)
            self._changed.notify()

    def purge(self) -> None:
        """Request that all files be deleted; drops all other requests and their completions."""
        with self._changed:
            self._clear()
            self._completions = [
                kept
                for completion in self._completions
                if (kept := _after_purge(completion)) is not None
            ]
            self._epoch += 1
            self._purge = True
            self._changed.notify()

    def set_computing(self, *, computing: bool) -> None:
        """Set whether the engine computes from now on."""
        with self._changed:
            self._computing = computing
            if not computing:
                self._changed.notify()

    def end(self, deadline_s: float) -> None:
        """Drop all reads; queued writes have ``deadline_s`` seconds."""
        with self._changed:
            self._reads.clear()
            self._prefetch = None
            self._close_at = time.monotonic() + deadline_s
            self._changed.notify()

    def take_completions(self) -> list[IoCompletion]:
        """Take the completions since the last call."""
        with self._changed:
            completion, self._completions = self._completions, []
            return completion

    def take(self, *, writing: bool) -> IoRequest | None:
        """For the disk thread: wait for the next request.

        Args:
            writing: A block's writing has begun and not ended.

        Returns:
            None at the end.
        """
        with self._changed:
            while (request := self._due(writing=writing)) is None:
                if self._close_at is not None:
                    return None
                self._changed.wait(self._wait_s())
            self._request_epoch = self._epoch
            if isinstance(request, ReadBlock):
                self._reading = request.block.key
                if request == self._prefetch:
                    self._prefetch = None
            return request

    def post(self, completion: IoCompletion) -> None:
        """For the disk thread: post the completion of the request it took last."""
        with self._changed:
            self._reading = None
            remaining = (
                completion if self._request_epoch == self._epoch else _after_purge(completion)
            )
            if remaining is not None:
                self._completions.append(remaining)
                os.eventfd_write(self._event_fd, 1)

    def set_failed(self) -> None:
        """For the disk thread: accept no requests, except a purge, and retry later."""
        with self._changed:
            self._retry_at = time.monotonic() + RETRY_EVERY_S
            if not self._failed:
                self._failed = True
                self._clear()
                self._completions.append(DiskFailed())
                os.eventfd_write(self._event_fd, 1)

    def set_usable(self) -> None:
        """For the disk thread: accept requests again."""
        with self._changed:
            self._failed = False

    def _due(self, *, writing: bool) -> IoRequest | None:
        now = time.monotonic()
        if self._purge:
            self._purge = False
            return DeleteAll()
        if self._close_at is not None and now >= self._close_at:
            return None
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            return Scan()
        for requests in (self._reads, self._chores):
            if requests:
                return requests.pop(next(iter(requests)))
        if not writing and not self._writes:
            self._write_due_at = None
            return None if self._computing else self._prefetch
        if self._write_due_at is None:
            self._write_due_at = now + WRITE_DELAY_MAX_S
        if self._computing and self._close_at is None and now < self._write_due_at:
            return None
        self._write_due_at = None
        return ContinueWrite() if writing else self._writes.pop(next(iter(self._writes)))

    def _wait_s(self) -> float | None:
        moments = [at for at in (self._write_due_at, self._retry_at) if at is not None]
        return max(min(moments) - time.monotonic(), 0.0) if moments else None

    def _clear(self) -> None:
        self._reads.clear()
        self._prefetch = self._reading = None
        self._chores.clear()
        self._writes.clear()


def _after_purge(completion: IoCompletion) -> IoCompletion | None:
    """What remains of a completion after a purge: whether there is a disk."""
    match completion:
        case DiskFailed():
            return completion
        case ScanDone(_, room_bytes):
            return ScanDone([], room_bytes)
        case _:
            return None
