"""Which blocks are in RAM and which on disk, and which are evicted for others. Kind: rules.

A block is in the index as long as it is in at least one tier. New blocks are put into RAM and, if
there is a disk, wait there to be written; meanwhile they count in both tiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.index import Index
from inglenook.engine.worker.prefix.tier import Tier

#: Bound of blocks that wait to be written where RAM has no others: some twenty blocks.
WAITING_BYTES_MAX = 64 * 2**20


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block on the disk from an earlier run.

    Attributes:
        used_ns: Time of its last use, by its file.
    """

    block: Block
    file_bytes: int
    used_ns: int


class Tiers:
    """The index and both tiers."""

    def __init__(self, root: bytes, *, ram_bytes: int, disk_bytes: int, states: bool) -> None:
        """Begin empty; for ``root`` and ``states`` see `Index`.

        Args:
            root: The model's fingerprint.
            ram_bytes: Bound of the RAM tier.
            disk_bytes: Bound of the files; 0 if there is no disk.
            states: The model keeps states that can't be cut.
        """
        self._root = root
        self.has_states = states
        #: Bound of the RAM tier; change it by `set_ram_bytes`.
        self.ram_bytes = ram_bytes
        self._disk_bytes = self._disk_bytes_max = disk_bytes
        self._disk_room_bytes = disk_bytes
        self.forget_all()

    def forget_all(self) -> None:
        """Begin again, empty."""
        self.index = Index(self._root, states=self.has_states)
        self.ram = Tier()
        self.disk = Tier()
        self._waiting: dict[bytes, None] = {}
        self._to_delete: list[bytes] = []

    def put(self, block: Block, payload: Payload, file_bytes: int, *, write: bool = True) -> bool:
        """Take in a new block; returns whether it is stored.

        It is not if the block before it is not, nor if RAM is full of unwritten blocks.

        Args:
            block: The block.
            payload: Its state.
            file_bytes: Size of its file.
            write: Write it to the disk, if there is one.
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
        """The blocks up to this one that are not on the disk, nor wait to be written."""
        return [before for before in self.index.path(block.key) if before.key not in self.disk]

    def write(self, block: Block, file_bytes: int) -> None:
        """Have a block written that is in RAM."""
        self.disk.put(block.key, file_bytes)
        self._waiting[block.key] = None
        self.touch(self.index.path(block.key))
        self._trim()

    @property
    def has_disk(self) -> bool:
        """Whether there is a usable disk tier."""
        return self._disk_bytes > 0

    def in_memory(self, tokens: Sequence[int], namespace: bytes = b"") -> bool:
        """Whether all of a prompt is in RAM, and not only until it is written."""
        path, matched = self.index.match(tokens, namespace)
        return (
            self.ram_bytes > 0
            and matched == len(tokens)
            and all(block.key in self.ram for block in path)
        )

    def touch(self, path: Sequence[Block]) -> list[bytes]:
        """Mark a path as used: its blocks are evicted last.

        Returns:
            Keys of its blocks on disk, last block first, whose files are to be marked too.
        """
        self.ram.touch(path)
        self.disk.touch(path)
        on_disk = (block.key for block in reversed(path) if block.key in self.disk)
        return [key for key in on_disk if key not in self._waiting]

    def is_waiting(self, key: bytes) -> bool:
        """Whether a block waits to be written."""
        return key in self._waiting

    def read_done(self, block: Block, payload: Payload) -> None:
        """Take in a block that a fetch waits for; RAM has it if its bound is not 0."""
        if block.key in self.index and block.key not in self.ram and self.ram_bytes > 0:
            self.ram.put(block.key, len(payload), payload)
            self.touch(self.index.path(block.key))
            self._trim()

    def read_failed(self, block: Block) -> None:
        """Drop a block whose file is missing or damaged, unless it is in RAM."""
        if block.key not in self.ram:
            self._drop(block.key)

    def write_done(self, key: bytes, room_bytes: int, *, done: bool) -> None:
        """Take in that a block was written, or that there was no room for it.

        Args:
            key: The block's key.
            room_bytes: Bytes that may be written now.
            done: Whether it was written.
        """
        if not done and key in self._waiting:
            self._evict_from_disk(key)
        self._waiting.pop(key, None)
        self._learn_room(room_bytes)

    def scan_done(self, kept: Iterable[StoredBlock], room_bytes: int) -> None:
        """Take in the blocks on the disk, of an earlier run or of this one."""
        self._disk_bytes = self._disk_bytes_max
        mine = list(self.ram)
        there = sorted(kept, key=lambda file: (file.block.start, file.used_ns))
        for file in there:
            key = file.block.key
            if key in self.disk:
                continue
            if key in self.index:
                # In RAM since before the disk failed.
                self.disk.put(key, file.file_bytes)
                continue
            if not self.index.is_reachable(file.block) or self.index.covers(file.block):
                self._to_delete.append(key)
                continue
            for shorter in self.index.add(file.block):
                self._drop(shorter.key)
            self.disk.put(key, file.file_bytes)
        if self.has_states:
            # The engine may have been killed before it wrote the state that a block leads to.
            for file in reversed(there):
                key = file.block.key
                if key in self.index and not file.block.state and not self.index.children(key):
                    self._drop(key)
        # By time and depth; blocks of this run are the newest.
        there.sort(key=lambda file: (file.used_ns, -file.block.start))
        for key in [*(file.block.key for file in there), *mine]:
            self.touch(self.index.path(key))
        self._learn_room(room_bytes)

    def set_ram_bytes(self, ram_bytes: int) -> None:
        """Change the bound of the RAM tier."""
        self.ram_bytes = ram_bytes
        self._trim()

    def disk_failed(self) -> None:
        """Do without the disk until `scan_done`; blocks in RAM stay."""
        self._disk_bytes = 0
        for key in list(self.disk):
            self._evict_from_disk(key)
        self._to_delete.clear()
        self._trim()

    def take_deletions(self) -> list[bytes]:
        """Keys whose files are to be deleted, or not written, since the last call."""
        deleted, self._to_delete = self._to_delete, []
        return deleted

    @property
    def _waiting_bytes(self) -> int:
        return self.ram.sum_bytes(self._waiting)

    @property
    def _ram_bound_bytes(self) -> int:
        # With a bound of 0 there is room just for blocks that wait to be written.
        return self.ram_bytes or min(self._waiting_bytes, WAITING_BYTES_MAX)

    def _learn_room(self, room_bytes: int) -> None:
        written_bytes = self.disk.used_bytes - self.disk.sum_bytes(self._waiting)
        self._disk_room_bytes = written_bytes + room_bytes
        self._trim()

    def _trim(self) -> None:
        """Evict the oldest blocks until both bounds hold."""
        while self.ram.used_bytes > self._ram_bound_bytes:
            # Blocks that wait to be written are evicted last: the others are no loss.
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
        """Drop a block and its descendants."""
        for block in self.index.remove(key):
            self.ram.discard(block.key)
            self._waiting.pop(block.key, None)
            if self.disk.discard(block.key):
                self._to_delete.append(block.key)
