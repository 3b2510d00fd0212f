"""Restores the last conversations from the disk to RAM before they are asked for. Kind: hands."""

from __future__ import annotations

from itertools import islice

from inglenook.engine.worker.prefix.blocks import Block, Payload
from inglenook.engine.worker.prefix.io_queue import IoQueue
from inglenook.engine.worker.prefix.tiers import Tiers

#: How many conversations are prefetched, the most recent first: as many as run at once by default,
#: because each turn of a model that thinks is an end of its own, as its thoughts are left out of
#: the next; and the share of the RAM tier that they may fill.
PREFETCHED_CHAINS = 8
PREFETCHED_SHARE = 0.5


class Prefetcher:
    """Reads one block at a time while the engine is idle, so that each choice is up to date."""

    def __init__(self, tiers: Tiers, io: IoQueue) -> None:
        self._tiers = tiers
        self._io = io
        #: The block that is being read; None if there is none.
        self.block: Block | None = None

    def begin(self) -> None:
        """Have the next block read, if one is wanted."""
        self._read(to_prefetch(self._tiers))

    def stop(self) -> None:
        """Read nothing that no request asked for."""
        self._read(None)

    def arrived(self, block: Block) -> None:
        """If that was the block, have the next one read."""
        if block == self.block:
            self.begin()

    def _read(self, block: Block | None) -> None:
        self.block = block
        self._io.prefetch(block)


def to_prefetch(tiers: Tiers) -> Block | None:
    """The next block that RAM should have before a request asks for it.

    The most recent conversations come first, and each from its beginning, so that a part of one is
    of use when there is no more room. A conversation ends with a block that no other continues.
    """
    ends = (key for key in reversed(list(tiers.disk)) if not tiers.index.children(key))
    for end in islice(ends, PREFETCHED_CHAINS):
        for block in tiers.index.path(end):
            if block.key not in tiers.ram:
                fits = tiers.disk.sum_bytes([block.key]) <= _room_bytes(tiers)
                return block if fits else None
    return None


def prefetched(tiers: Tiers, block: Block, payload: Payload) -> None:
    """Take in a block that no request waits for: it is evicted first, and displaces none."""
    known = block.key in tiers.index and block.key not in tiers.ram
    if known and len(payload) <= _room_bytes(tiers):
        tiers.ram.put(block.key, len(payload), payload, oldest=True)
        if any(child.key in tiers.ram for child in tiers.index.children(block.key)):
            # A request used the block after it, so this one was used too.
            tiers.ram.touch(tiers.index.path(block.key))


def _room_bytes(tiers: Tiers) -> int:
    return int(tiers.ram_bytes * PREFETCHED_SHARE) - tiers.ram.used_bytes
