"""The thread that touches the cache's files, so that the engine's never waits. Kind: hands."""

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
from inglenook.engine.worker.prefix.folder import ForeignFile, room_bytes, survey
from inglenook.engine.worker.prefix.io_queue import LOOK_EVERY_S, IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    ContinueWrite,
    DeleteAll,
    DeleteBlock,
    ReadBlock,
    ReadDone,
    Scan,
    ScanDone,
    TouchBlock,
    Wish,
    WriteBlock,
    WriteDone,
)

log = logging.getLogger(__name__)

#: What the piece at hand may take beyond the deadline of `Disk.close`.
_LAST_PIECE_S: Final = 1.0


class Disk:
    """Does what is wished for, one thing at a time."""

    def __init__(
        self, folder: Path, fingerprint: bytes, disk_bytes: int, exchange: IoQueue
    ) -> None:
        """Start the thread; its first news is what is there.

        Args:
            folder: Where the folders of all fingerprints are; made if it is not there.
            fingerprint: Whose blocks these are.
            disk_bytes: Bound of all files together; those of other models go first.
            exchange: Where wishes come from and news goes.
        """
        self._folder = folder
        self._own = folder / fingerprint.hex()
        self._disk_bytes = disk_bytes
        self._exchange = exchange
        self._strangers: deque[ForeignFile] = deque()
        self._writing: tuple[WriteBlock, Generator[None]] | None = None
        self._lost = False
        self._to_purge = False
        #: How large the files of other models are.
        self.strangers_bytes = 0
        # At the common priority: at the lowest, a second's reading took ten on a busy box, and who
        # needs the interpreter's lock would wait for one who is never let on.
        self._thread = threading.Thread(target=self._run, name="prefix-cache", daemon=True)
        self._thread.start()

    def close(self, deadline_s: float) -> bool:
        """Write what waits, for so many seconds, then end the thread.

        Returns:
            Whether it has ended; if not, the disk hangs, and the thread ends with the process.
        """
        self._exchange.end(deadline_s)
        self._thread.join(deadline_s + _LAST_PIECE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._guard(self._look_round)
            while (wish := self._exchange.take(writing=self._writing is not None)) is not None:
                self._guard(partial(self._do, wish))
        finally:
            # Whatever ends this thread: nobody waits for it any longer, and nothing is left half.
            self._lose()

    def _guard(self, work: Callable[[], None]) -> None:
        """Do without the disk for a while after an error; a damaged block is none."""
        try:
            work()
        except OSError as exc:
            if not self._lost:
                log.warning(
                    "what was read is no longer kept on disk (%s); make room, or see to the folder;"
                    " it is tried again every %g s",
                    exc,
                    LOOK_EVERY_S,
                )
            self._lost = True
            self._lose()

    def _do(self, wish: Wish) -> None:
        match wish:
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
                self._begin(wish)
            case ContinueWrite():
                self._write_on()
            case DeleteAll():
                self._purge()
            case Scan():
                self._look_again()

    def _look_again(self) -> None:
        """See whether it can be used after all, by writing to it."""
        self._make_folders()
        probe = self._own / f"probe{TEMPORARY_SUFFIX}"
        try:
            probe.write_bytes(b"\0")
        finally:
            probe.unlink(missing_ok=True)
        if self._to_purge:
            # What was to be forgotten must not be found again.
            purge_folder(self._folder)
            self._to_purge = False
        self._lost = False
        self._exchange.find()
        self._look_round()
        log.warning("what was read is kept on disk again")

    def _look_round(self) -> None:
        self._make_folders()
        kept, strangers = survey(self._folder, self._own.name)
        self._strangers = deque(strangers)
        self.strangers_bytes = sum(stranger.file_bytes for stranger in strangers)
        self._make_way(sum(file.file_bytes for file in kept), 0)
        self._exchange.post(ScanDone(kept, self._room_bytes()))

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
        self._exchange.post(ReadDone(block, payload))

    def _begin(self, write: WriteBlock) -> None:
        size_bytes = file_bytes(write.block, len(write.payload))
        self._make_folders()
        self._make_way(write.own_bytes, size_bytes)
        if room_bytes(self._folder) < size_bytes:
            self._exchange.post(WriteDone(write.block.key, False, self._room_bytes()))
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
        self._exchange.post(WriteDone(write.block.key, True, self._room_bytes()))

    def _make_way(self, own_bytes: int, size_bytes: int) -> None:
        """Remove what other models left, as far as it is in the way."""
        while self._strangers and (
            own_bytes + self.strangers_bytes > self._disk_bytes
            or room_bytes(self._folder) < size_bytes
        ):
            stranger = self._strangers.popleft()
            stranger.path.unlink(missing_ok=True)
            self.strangers_bytes -= stranger.file_bytes
            # Not while somebody else's file is in it.
            with contextlib.suppress(OSError):
                stranger.path.parent.rmdir()

    def _purge(self) -> None:
        self._abandon()
        self._strangers.clear()
        self.strangers_bytes = 0
        try:
            purge_folder(self._folder)
            self._to_purge = False
        except OSError as exc:
            self._to_purge = True
            log.warning(
                "what was read cannot be removed from the disk (%s); remove it by hand", exc
            )

    def _lose(self) -> None:
        self._exchange.lose()
        with contextlib.suppress(OSError):
            self._abandon()

    def _abandon(self) -> None:
        if self._writing is not None:
            _write, pieces = self._writing
            self._writing = None
            pieces.close()

    def _room_bytes(self) -> int:
        """Room for blocks of this model: what others left would go for it."""
        return room_bytes(self._folder) + self.strangers_bytes

    def _path(self, key: bytes) -> Path:
        return self._own / f"{key.hex()}{BLOCK_SUFFIX}"
