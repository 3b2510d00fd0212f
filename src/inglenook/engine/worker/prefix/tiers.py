"""Which blocks are in memory and which on disk, and what has to go for others. Kind: rules.

A block is in the index as long as it is in at least one tier. New ones go to memory and, if there
is a disk, wait there until they are written; what waits counts as both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.index import Index
from inglenook.engine.worker.prefix.tier import Tier

#: What may wait to be written where memory holds nothing else: some twenty blocks.
WAITING_BYTES_MAX = 64 * 2**20


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block an earlier life left on the disk.

    Attributes:
        used_ns: When it was last used, file time.
    """

    block: Block
    file_bytes: int
    used_ns: int


class Tiers:
    """What the cache holds, and where."""

    def __init__(self, root: bytes, *, ram_bytes: int, disk_bytes: int, states: bool) -> None:
        """Begin with nothing; for ``root`` and ``states`` see `Index`.

        Args:
            root: The model's fingerprint.
            ram_bytes: Bound of what is in memory.
            disk_bytes: Bound of the files; 0 if there is no disk.
            states: The model keeps states that can't be cut.
        """
        self._root = root
        self.has_states = states
        #: Bound of what is in memory; change it by `set_ram_bytes`.
        self.ram_bytes = ram_bytes
        self._disk_bytes = self._disk_bytes_max = disk_bytes
        self._disk_room_bytes = disk_bytes
        self.forget_all()

    def forget_all(self) -> None:
        """Begin again with nothing."""
        self.index = Index(self._root, states=self.has_states)
        self.ram = Tier()
        self.disk = Tier()
        self._waiting: dict[bytes, None] = {}
        self._to_delete: list[bytes] = []

    def put(self, block: Block, payload: Payload, file_bytes: int, *, write: bool = True) -> bool:
        """Take in a new block; say whether it is kept, in memory or to be written.

        It is not if the one before it is not there, nor if memory is full of what must be written.

        Args:
            block: Which.
            payload: Its state.
            file_bytes: How large its file would be.
            write: It is to be on the disk, if there is one, and not only in memory.
        """
        size_bytes = len(payload)
        if self.index.covers(block):
            return True
        write = write and self._disk_bytes > 0
        room_bytes = self.ram_bytes or (WAITING_BYTES_MAX if write else 0)
        fits = self._waiting_bytes + size_bytes <= room_bytes
        if not fits or not self.index.is_reachable(block):
            return False
        for shorter in self.index.add(block):
            self._drop(shorter.key)
        self.ram.put(block.key, size_bytes, payload)
        if write:
            self.disk.put(block.key, file_bytes)
            self._waiting[block.key] = None
        self.touch(self.index.path(block.key))
        self._trim()
        return block.key in self.index

    def unwritten(self, block: Block) -> list[Block]:
        """What stands before a block, or is it, and neither is on the disk nor waits for that."""
        return [before for before in self.index.path(block.key) if before.key not in self.disk]

    def write(self, block: Block, file_bytes: int) -> None:
        """A block that is in memory is to be on the disk, too."""
        self.disk.put(block.key, file_bytes)
        self._waiting[block.key] = None
        self.touch(self.index.path(block.key))
        self._trim()

    @property
    def has_disk(self) -> bool:
        """Whether there is a disk tier that can be used."""
        return self._disk_bytes > 0

    def in_memory(self, tokens: Sequence[int], namespace: bytes = b"") -> bool:
        """Whether all of a prompt is in memory, and not only until it is written."""
        path, matched = self.index.match(tokens, namespace)
        return (
            self.ram_bytes > 0
            and matched == len(tokens)
            and all(block.key in self.ram for block in path)
        )

    def touch(self, path: Sequence[Block]) -> list[bytes]:
        """A path was used: what is on it goes last.

        Returns:
            Keys of it that are on disk, last block first, whose files should know too.
        """
        self.ram.touch(path)
        self.disk.touch(path)
        on_disk = (block.key for block in reversed(path) if block.key in self.disk)
        return [key for key in on_disk if key not in self._waiting]

    def is_waiting(self, key: bytes) -> bool:
        """Whether a block is yet to be written."""
        return key in self._waiting

    def read_done(self, block: Block, payload: Payload) -> None:
        """A block that somebody waits for was read; memory takes it if it has room for any."""
        if block.key in self.index and block.key not in self.ram and self.ram_bytes > 0:
            self.ram.put(block.key, len(payload), payload)
            self.touch(self.index.path(block.key))
            self._trim()

    def read_failed(self, block: Block) -> None:
        """A block's file is gone or not what it should be."""
        if block.key not in self.ram:
            self._drop(block.key)

    def write_done(self, key: bytes, room_bytes: int, *, done: bool) -> None:
        """A block is on disk, or else there was no room for it.

        Args:
            key: Whose it is.
            room_bytes: How much more may be written now.
            done: Whether it is on disk.
        """
        if not done and key in self._waiting:
            self._evict_from_disk(key)
        self._waiting.pop(key, None)
        self._learn_room(room_bytes)

    def scan_done(self, kept: Iterable[StoredBlock], room_bytes: int) -> None:
        """Take in what is on the disk: what an earlier life left, or what is left of our own."""
        self._disk_bytes = self._disk_bytes_max
        mine = list(self.ram)
        there = sorted(kept, key=lambda file: (file.block.start, file.used_ns))
        for file in there:
            key = file.block.key
            if key in self.disk:
                continue
            if key in self.index:
                # In memory since before the disk was lost.
                self.disk.put(key, file.file_bytes)
                continue
            if not self.index.is_reachable(file.block) or self.index.covers(file.block):
                self._to_delete.append(key)
                continue
            for shorter in self.index.add(file.block):
                self._drop(shorter.key)
            self.disk.put(key, file.file_bytes)
        if self.has_states:
            # A kill may have come between what leads to a state and the state itself.
            for file in reversed(there):
                key = file.block.key
                if key in self.index and not file.block.state and not self.index.children(key):
                    self._drop(key)
        # By time and depth, and what came in meanwhile is newest.
        there.sort(key=lambda file: (file.used_ns, -file.block.start))
        for key in [*(file.block.key for file in there), *mine]:
            self.touch(self.index.path(key))
        self._learn_room(room_bytes)

    def set_ram_bytes(self, ram_bytes: int) -> None:
        """Change the bound of what is in memory."""
        self.ram_bytes = ram_bytes
        self._trim()

    def disk_failed(self) -> None:
        """There is no disk until it is `found` again; memory keeps what it has."""
        self._disk_bytes = 0
        for key in list(self.disk):
            self._evict_from_disk(key)
        self._to_delete.clear()
        self._trim()

    def take_deletions(self) -> list[bytes]:
        """Keys whose files are to be removed, or not written, since the last call."""
        deleted, self._to_delete = self._to_delete, []
        return deleted

    @property
    def _waiting_bytes(self) -> int:
        return self.ram.sum_bytes(self._waiting)

    @property
    def _ram_bound_bytes(self) -> int:
        # Without a bound for memory's own there is room just for what waits.
        return self.ram_bytes or min(self._waiting_bytes, WAITING_BYTES_MAX)

    def _learn_room(self, room_bytes: int) -> None:
        written_bytes = self.disk.used_bytes - self.disk.sum_bytes(self._waiting)
        self._disk_room_bytes = written_bytes + room_bytes
        self._trim()

    def _trim(self) -> None:
        """Let the oldest go until both bounds hold."""
        while self.ram.used_bytes > self._ram_bound_bytes:
            # What waits goes last: what is written is no loss.
            settled = (key for key in self.ram if key not in self._waiting)
            self._evict_from_ram(next(settled, None) or next(iter(self.ram)))
        while self.disk.used_bytes > max(min(self._disk_bytes, self._disk_room_bytes), 0):
            self._evict_from_disk(next(iter(self.disk)))

    def _evict_from_ram(self, key: bytes) -> None:
        self.ram.discard(key)
        if key in self._waiting or key not in self.disk:
            self._drop(key)

    def _evict_from_disk(self, key: bytes) -> None:
        self.disk.discard(key)
        self._to_delete.append(key)
        waited = key in self._waiting
        self._waiting.pop(key, None)
        if self.ram_bytes == 0 and waited:
            self.ram.discard(key)
        if key not in self.ram:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        """Forget a block and all below it."""
        for block in self.index.remove(key):
            self.ram.discard(block.key)
            self._waiting.pop(block.key, None)
            if self.disk.discard(block.key):
                self._to_delete.append(block.key)
