"""Blocks that are being fetched into RAM. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inglenook.engine.worker.prefix.blocks import Block, Payload


class Fetch:
    """The stored blocks of one prompt's prefix; they stay in RAM as long as this object."""

    def __init__(
        self, path: Sequence[Block], tokens: int, on_cancel: Callable[[Fetch], None]
    ) -> None:
        """Begin without payloads.

        Args:
            path: The blocks, in order from the first.
            tokens: Length of the prefix that they have in common with the prompt.
            on_cancel: Called with this when it is cancelled.
        """
        self._path = list(path)
        self._tokens = tokens
        self._on_cancel = on_cancel
        self._lacking = {block.key: block for block in path}
        self._payloads: dict[bytes, Payload] = {}

    @property
    def ready(self) -> bool:
        """Whether no block is outstanding."""
        return not self._lacking

    @property
    def blocks(self) -> list[tuple[int, int, Payload]]:
        """The blocks received, as (start, stop, payload), in order and without gaps.

        The last may extend beyond its common prefix with the prompt.
        """
        return [(block.start, block.stop, self._payloads[block.key]) for block in self._received()]

    @property
    def state_at(self) -> int:
        """Number of tokens after which the last of `blocks` has a running state; 0 for none."""
        received = self._received()
        return received[-1].stop if received and received[-1].state else 0

    @property
    def tokens(self) -> int:
        """Length of the prompt's prefix that `blocks` have now."""
        received = self._received()
        return min(received[-1].stop, self._tokens) if received else 0

    @property
    def lacking(self) -> list[Block]:
        """Blocks that are outstanding."""
        return list(self._lacking.values())

    def lacks(self, key: bytes) -> bool:
        """Whether a block is outstanding."""
        return key in self._lacking

    def deliver(self, key: bytes, payload: Payload) -> None:
        """Add a block that was read; it may be none of these."""
        if self._lacking.pop(key, None) is not None:
            self._payloads[key] = payload

    def fail(self, key: bytes) -> None:
        """Drop a block that can't be read, and those after it; it may be none of these."""
        if key in self._lacking:
            self._cut([block.key for block in self._path].index(key))

    def give_up(self) -> None:
        """Drop all outstanding blocks."""
        self._cut(len(self._received()))

    def cancel(self) -> None:
        """Drop all blocks."""
        self._on_cancel(self)
        self._cut(0)

    def _received(self) -> list[Block]:
        received = []
        for block in self._path:
            if block.key in self._lacking:
                break
            received.append(block)
        return received

    def _cut(self, length: int) -> None:
        for block in self._path[length:]:
            self._lacking.pop(block.key, None)
            self._payloads.pop(block.key, None)
        del self._path[length:]
