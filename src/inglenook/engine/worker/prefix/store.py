"""The prefix store: states that left the KV pool, in RAM and on disk. Kind: hands.

All methods belong to the engine thread, and none waits for the disk: `Store.poll` takes in what the
disk thread has done.

Once the disk is scanned, the most recent conversations are prefetched into RAM in pauses, so that a
request that continues one need not wait for the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from inglenook.engine.worker.prefix.blockfile import file_bytes
from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.disk import Disk
from inglenook.engine.worker.prefix.fetch import Fetch
from inglenook.engine.worker.prefix.io_queue import IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    DiskFailed,
    IoCompletion,
    ReadDone,
    ScanDone,
    WriteBlock,
    WriteDone,
)
from inglenook.engine.worker.prefix.prefetch import Prefetcher, prefetched
from inglenook.engine.worker.prefix.state_worth import is_worth_keeping, is_worth_writing
from inglenook.engine.worker.prefix.tiers import Tiers

__all__ = ["Fetch", "Payload", "Store"]


class Store:
    """States of prompts, block by block, within bounds; the least recently used is evicted."""

    def __init__(
        self,
        *,
        folder: Path | None,
        fingerprint: bytes,
        ram_bytes: int,
        disk_bytes: int,
        states: bool = False,
    ) -> None:
        """Begin with the blocks on the disk; they are known after its first `ScanDone`.

        Args:
            folder: Holds the files of all models; None stores nothing on disk.
            fingerprint: 16 bytes that identify the model and all else that a state depends on.
            ram_bytes: Bound of the RAM tier; with 0 it has only blocks that wait to be written.
            disk_bytes: Bound of the files of all models together; 0 stores nothing on disk.
            states: The model keeps states that can't be cut; see `Block.state`.
        """
        if folder is None:
            disk_bytes = 0
        self._tiers = Tiers(fingerprint, ram_bytes=ram_bytes, disk_bytes=disk_bytes, states=states)
        self._fetches: list[Fetch] = []
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._io = IoQueue(self._event_fd)
        self._prefetcher = Prefetcher(self._tiers, self._io)
        self._disk: Disk | None = None
        if folder is not None and disk_bytes > 0:
            self._disk = Disk(folder, fingerprint, disk_bytes, self._io)

    @property
    def blocks(self) -> int:
        """Number of stored blocks."""
        return len(self._tiers.index)

    @property
    def ram_used_bytes(self) -> int:
        """Size of the RAM tier, with blocks that wait to be written."""
        return self._tiers.ram.used_bytes

    @property
    def disk_used_bytes(self) -> int:
        """Size of the files of all models, with those that wait to be written."""
        foreign_bytes = self._disk.foreign_bytes if self._disk is not None else 0
        return self._tiers.disk.used_bytes + foreign_bytes

    def match(self, tokens: Sequence[int], namespace: bytes = b"") -> int:
        """Length of the stored prefix of a prompt; for ``namespace`` see `StartJob`."""
        return self._tiers.index.match(tokens, namespace)[1]

    def in_memory(self, tokens: Sequence[int], namespace: bytes = b"") -> bool:
        """Whether all of a prompt can be restored without the disk."""
        return self._tiers.in_memory(tokens, namespace)

    def touch(self, tokens: Sequence[int], namespace: bytes = b"") -> None:
        """Mark the stored blocks of a prompt as used: they are evicted last."""
        path, _matched = self._tiers.index.match(tokens, namespace)
        self._io.touch(self._tiers.touch(path))

    def fetch(self, tokens: Sequence[int], namespace: bytes = b"") -> Fetch:
        """Fetch into RAM what `match` finds; it stays there as long as the returned object.

        Blocks from the disk arrive in order and verified.
        """
        path, matched = self._tiers.index.match(tokens, namespace)
        self._io.touch(self._tiers.touch(path))
        fetch = Fetch(path, matched, self._cancelled)
        for block in path:
            payload = self._tiers.ram.payload(block.key)
            if payload is not None:
                fetch.deliver(block.key, payload)
        for block in fetch.lacking:
            if not self._is_lacked(block):
                self._io.read(block)
        if not fetch.ready:
            self._fetches.append(fetch)
        return fetch

    def missing(self, tokens: Sequence[int], namespace: bytes = b"") -> list[tuple[int, int]]:
        """The runs of a prompt, as (start, stop) in order, that are not stored.

        Where states can't be cut, the last run has the state after all of the prompt.
        """
        return self._tiers.index.missing(tokens, namespace)

    def put(
        self, tokens: Sequence[int], run: tuple[int, int], payload: Payload, namespace: bytes = b""
    ) -> bool:
        """Store one run, as `missing` names them.

        Args:
            tokens: The prompt, at least up to the end of the run.
            run: Position of its first token, before which all must be stored, and after its last.
            payload: The state of exactly these cells. It is not copied: do not change it.
            namespace: See `StartJob`.

        Returns:
            Whether it is stored; not if there is no room now, or if the block before it is not
            stored. Then no block after it can be stored either.
        """
        tiers = self._tiers
        block = tiers.index.block(tokens, *run, namespace)
        if block is None:
            return False
        write = not tiers.has_states or not tiers.ram_bytes
        if block.state:
            write = is_worth_writing(tiers, tokens, len(payload), namespace)
        kept = tiers.put(block, payload, file_bytes(block, len(payload)), write=write)
        if kept and tiers.is_waiting(block.key):
            self._write_before(block)
            self._io.write(WriteBlock(block, payload, tiers.disk.used_bytes))
        self._tidy()
        return kept

    def wants_state(self, tokens: Sequence[int], state_bytes: int, namespace: bytes = b"") -> bool:
        """Whether a state that can't be cut, after exactly these tokens, is worth its bytes."""
        return is_worth_keeping(self._tiers, tokens, state_bytes, namespace)

    def computing(self, computing: bool) -> None:  # noqa: FBT001 one reads it as a sentence
        """Set whether the engine computes; meanwhile blocks are written slowly or not at all."""
        self._io.set_computing(computing=computing)

    def set_ram_bytes(self, ram_bytes: int) -> None:
        """Change the bound of the RAM tier at once; blocks on the disk stay there."""
        if ram_bytes < self._tiers.ram_bytes:
            # When memory is short, nothing is prefetched.
            self._prefetcher.stop()
        self._tiers.set_ram_bytes(ram_bytes)
        self._tidy()

    def purge(self) -> None:
        """Delete everything: RAM at once, and all models' files as soon as possible."""
        self._tiers.forget_all()
        self._give_up()
        self._io.purge()

    def fileno(self) -> int:
        """The file number that is readable when `poll` has something to do."""
        return self._event_fd

    def poll(self) -> None:
        """Take in completions of the disk thread."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        for completion in self._io.take_completions():
            self._take(completion)
        self._tidy()

    def close(self, deadline_s: float) -> None:
        """Write what is queued, for ``deadline_s`` seconds at most, and end for good."""
        self._give_up()
        if self._disk is None or self._disk.close(deadline_s):
            os.close(self._event_fd)

    def _write_before(self, block: Block) -> None:
        """Write the blocks before one, as far as they are in RAM only."""
        for before in self._tiers.unwritten(block):
            payload = self._tiers.ram.payload(before.key)
            if payload is None:
                # The disk has no room for all of them, and this one was just evicted.
                return
            self._tiers.write(before, file_bytes(before, len(payload)))
            if self._tiers.is_waiting(before.key):
                self._io.write(WriteBlock(before, payload, self._tiers.disk.used_bytes))

    def _take(self, completion: IoCompletion) -> None:
        match completion:
            case ScanDone(kept, room_bytes):
                self._tiers.scan_done(kept, room_bytes)
                self._prefetcher.begin()
            case ReadDone(block, None):
                self._tiers.read_failed(block)
                for fetch in self._fetches:
                    fetch.fail(block.key)
                self._prefetcher.arrived(block)
            case ReadDone(block, payload):
                assert payload is not None
                if self._is_lacked(block):
                    self._tiers.read_done(block, payload)
                else:
                    prefetched(self._tiers, block, payload)
                for fetch in self._fetches:
                    fetch.deliver(block.key, payload)
                self._prefetcher.arrived(block)
            case WriteDone(key, done, room_bytes):
                self._tiers.write_done(key, room_bytes, done=done)
            case DiskFailed():
                self._tiers.disk_failed()
                self._give_up()
        self._fetches = [fetch for fetch in self._fetches if not fetch.ready]

    def _tidy(self) -> None:
        for key in self._tiers.take_deletions():
            self._io.delete(key)

    def _give_up(self) -> None:
        self._prefetcher.stop()
        for fetch in self._fetches:
            fetch.give_up()
        self._fetches.clear()

    def _cancelled(self, fetch: Fetch) -> None:
        if fetch in self._fetches:
            self._fetches.remove(fetch)
            for block in fetch.lacking:
                if not self._is_lacked(block):
                    self._io.cancel_read(block.key)

    def _is_lacked(self, block: Block) -> bool:
        """Whether a fetch waits for a block."""
        return any(fetch.lacks(block.key) for fetch in self._fetches)
