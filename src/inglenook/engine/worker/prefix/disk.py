"""The disk thread, which reads and writes the cache's files. Kind: hands."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Final

from inglenook.engine.prefix_files import BLOCK_SUFFIX, TEMPORARY_SUFFIX, purge_folder
from inglenook.engine.worker.prefix.blockfile import (
    Damaged,
    file_bytes,
    read_payload,
    write_block,
)
from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.folder import ForeignFile, room_bytes, scan_folder
from inglenook.engine.worker.prefix.io_queue import RETRY_EVERY_S, IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    ContinueWrite,
    DeleteAll,
    DeleteBlock,
    IoRequest,
    ReadBlock,
    ReadDone,
    Scan,
    ScanDone,
    TouchBlock,
    WriteBlock,
    WriteDone,
)

log = logging.getLogger(__name__)

#: Time that the present piece may take beyond the deadline of `Disk.close`.
_LAST_PIECE_S: Final = 1.0


class Disk:
    """Performs the requests of an `IoQueue` one at a time, in a thread of its own."""

    def __init__(self, folder: Path, fingerprint: bytes, disk_bytes: int, queue: IoQueue) -> None:
        """Start the thread; its first completion is a `ScanDone`.

        Args:
            folder: Holds the folders of all fingerprints; made if it is missing.
            fingerprint: Of the model whose blocks these are.
            disk_bytes: Bound of all files together; those of other models are deleted first.
            queue: Requests come from it, and completions go to it.
        """
        self._folder = folder
        self._own = folder / fingerprint.hex()
        self._disk_bytes = disk_bytes
        self._queue = queue
        self._foreign: deque[ForeignFile] = deque()
        self._writing: tuple[WriteBlock, Generator[None]] | None = None
        self._failed = False
        self._to_purge = False
        #: Size of the files of other models.
        self.foreign_bytes = 0
        # At normal priority: at the lowest, reads that take a second took ten on a busy box, and
        # the engine could wait for an interpreter lock whose holder does not run.
        self._thread = threading.Thread(target=self._run, name="prefix-cache", daemon=True)
        self._thread.start()

    def close(self, deadline_s: float) -> bool:
        """Write what is queued, for ``deadline_s`` seconds, then end the thread.

        Returns:
            Whether it has ended; if not, the disk hangs, and the thread ends with the process.
        """
        self._queue.end(deadline_s)
        self._thread.join(deadline_s + _LAST_PIECE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._guard(self._scan)
            while (request := self._queue.take(writing=self._writing is not None)) is not None:
                self._guard(partial(self._perform, request))
        finally:
            # Whatever ends this thread: no fetch waits for it, and no file is left half-written.
            self._fail()

    def _guard(self, work: Callable[[], None]) -> None:
        """Do without the disk for a while after an `OSError`; a damaged block is none."""
        try:
            work()
        except OSError as exc:
            if not self._failed:
                log.warning(
                    "the prefix cache is no longer kept on disk (%s); make room or check the"
                    " folder; retrying every %g s",
                    exc,
                    RETRY_EVERY_S,
                )
            self._failed = True
            self._fail()

    def _perform(self, request: IoRequest) -> None:
        match request:
            case ReadBlock(block):
                self._read(block)
            case TouchBlock(key):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(self._path(key))
            case DeleteBlock(key):
                if self._writing is not None and self._writing[0].block.key == key:
                    self._abandon()
                self._path(key).unlink(missing_ok=True)
            case WriteBlock():
                self._begin(request)
            case ContinueWrite():
                self._write_on()
            case DeleteAll():
                self._purge()
            case Scan():
                self._retry()

    def _retry(self) -> None:
        """Check whether the disk can be used again, by writing to it."""
        self._make_folders()
        probe = self._own / f"probe{TEMPORARY_SUFFIX}"
        try:
            probe.write_bytes(b"\0")
        finally:
            probe.unlink(missing_ok=True)
        if self._to_purge:
            # Blocks of before the purge must not be found again.
            purge_folder(self._folder)
            self._to_purge = False
        self._failed = False
        self._queue.set_usable()
        self._scan()
        log.warning("the prefix cache is kept on disk again")

    def _scan(self) -> None:
        self._make_folders()
        kept, foreign = scan_folder(self._folder, self._own.name)
        self._foreign = deque(foreign)
        self.foreign_bytes = sum(file.file_bytes for file in foreign)
        self._delete_foreign(sum(file.file_bytes for file in kept), 0)
        self._queue.post(ScanDone(kept, self._room_bytes()))

    def _make_folders(self) -> None:
        for folder in (self._folder, self._own):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _read(self, block: Block) -> None:
        path = self._path(block.key)
        payload = None
        try:
            payload = read_payload(path, block)
        except (Damaged, OSError):
            path.unlink(missing_ok=True)
        self._queue.post(ReadDone(block, payload))

    def _begin(self, write: WriteBlock) -> None:
        size_bytes = file_bytes(write.block, len(write.payload))
        self._make_folders()
        self._delete_foreign(write.own_bytes, size_bytes)
        if room_bytes(self._folder) < size_bytes:
            self._queue.post(WriteDone(write.block.key, False, self._room_bytes()))
            return
        pieces = write_block(self._path(write.block.key), write.block, write.payload)
        self._writing = write, pieces
        self._write_on()

    def _write_on(self) -> None:
        assert self._writing is not None
        write, pieces = self._writing
        for _piece in pieces:
            return
        self._writing = None
        self._queue.post(WriteDone(write.block.key, True, self._room_bytes()))

    def _delete_foreign(self, own_bytes: int, size_bytes: int) -> None:
        """Delete other models' files, the oldest first, until there is room."""
        while self._foreign and (
            own_bytes + self.foreign_bytes > self._disk_bytes
            or room_bytes(self._folder) < size_bytes
        ):
            file = self._foreign.popleft()
            file.path.unlink(missing_ok=True)
            self.foreign_bytes -= file.file_bytes
            # It may hold a file that is not of the cache.
            with contextlib.suppress(OSError):
                file.path.parent.rmdir()

    def _purge(self) -> None:
        self._abandon()
        self._foreign.clear()
        self.foreign_bytes = 0
        try:
            purge_folder(self._folder)
            self._to_purge = False
        except OSError as exc:
            self._to_purge = True
            log.warning(
                "the prefix cache cannot be deleted from the disk (%s); delete it by hand", exc
            )

    def _fail(self) -> None:
        self._queue.set_failed()
        with contextlib.suppress(OSError):
            self._abandon()

    def _abandon(self) -> None:
        if self._writing is not None:
            _write, pieces = self._writing
            self._writing = None
            pieces.close()

    def _room_bytes(self) -> int:
        """Room for blocks of this model, those of others counted as free."""
        return room_bytes(self._folder) + self.foreign_bytes

    def _path(self, key: bytes) -> Path:
        return self._own / f"{key.hex()}{BLOCK_SUFFIX}"
