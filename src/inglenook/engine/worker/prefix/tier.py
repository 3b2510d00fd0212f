"""The blocks of one tier, in order of eviction. Kind: rules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from inglenook.engine.worker.prefix.blocks import Block, Payload


class Tier:
    """Blocks of one tier, oldest first; a block never comes after its parent.

    That holds as long as every block put in is touched with all of its path. So eviction from the
    front never removes a parent before its child.
    """

    def __init__(self) -> None:
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._payloads: dict[bytes, Payload] = {}
        self.used_bytes = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._sizes

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._sizes)

    def put(
        self, key: bytes, size_bytes: int, payload: Payload | None = None, *, oldest: bool = False
    ) -> None:
        """Add a block that is not in the tier, as the newest or the oldest."""
        assert key not in self._sizes
        self._sizes[key] = size_bytes
        self._sizes.move_to_end(key, last=not oldest)
        self.used_bytes += size_bytes
        if payload is not None:
            self._payloads[key] = payload

    def payload(self, key: bytes) -> Payload | None:
        """The payload of a block; None if there is none in this tier."""
        return self._payloads.get(key)

    def touch(self, path: Sequence[Block]) -> None:
        """Make the blocks of a path the newest, the first of them newest of all."""
        for block in reversed(path):
            if block.key in self._sizes:
                self._sizes.move_to_end(block.key)

    def discard(self, key: bytes) -> bool:
        """Remove a block; returns whether it was in the tier."""
        size_bytes = self._sizes.pop(key, None)
        self._payloads.pop(key, None)
        self.used_bytes -= size_bytes or 0
        return size_bytes is not None

    def sum_bytes(self, keys: Iterable[bytes]) -> int:
        """Size of those of the blocks that are in the tier."""
        return sum(self._sizes.get(key, 0) for key in keys)
