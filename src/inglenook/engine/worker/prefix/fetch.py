"""Blocks on their way into memory. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inglenook.engine.worker.prefix.blocks import Block, Payload


class Fetch:
    """What the store has of one prompt's beginning; whoever holds it keeps that in memory."""

    def __init__(
        self, path: Sequence[Block], tokens: int, on_cancel: Callable[[Fetch], None]
    ) -> None:
        """Begin with nothing there.

        Args:
            path: The blocks, in order from the first.
            tokens: How many leading tokens of the prompt they have.
            on_cancel: Hears that it is no longer wanted.
        """
        self._path = list(path)
        self._tokens = tokens
        self._on_cancel = on_cancel
        self._lacking = {block.key: block for block in path}
        self._payloads: dict[bytes, Payload] = {}

    @property
    def ready(self) -> bool:
        """Whether nothing more will come."""
        return not self._lacking

    @property
    def blocks(self) -> list[tuple[int, int, Payload]]:
        """What has come, as (start, stop, state), in order and without gaps from the start on.

        The last may go on beyond what it shares with the prompt.
        """
        return [(block.start, block.stop, self._payloads[block.key]) for block in self._received()]

    @property
    def state_at(self) -> int:
        """After how many tokens there is a state that cannot be cut, in `blocks`; 0 for none."""
        received = self._received()
        return received[-1].stop if received and received[-1].state else 0

    @property
    def tokens(self) -> int:
        """How many leading tokens of the prompt `blocks` have now."""
        received = self._received()
        return min(received[-1].stop, self._tokens) if received else 0

    @property
    def lacking(self) -> list[Block]:
        """What has yet to come."""
        return list(self._lacking.values())

    def lacks(self, key: bytes) -> bool:
        """Whether a block has yet to come."""
        return key in self._lacking

    def deliver(self, key: bytes, payload: Payload) -> None:
        """A block has come; it may be none of these."""
        if self._lacking.pop(key, None) is not None:
            self._payloads[key] = payload

    def fail(self, key: bytes) -> None:
        """A block will not come, so those after it are of no use; it may be none of these."""
        if key in self._lacking:
            self._cut([block.key for block in self._path].index(key))

    def give_up(self) -> None:
        """Nothing more will come."""
        self._cut(len(self._received()))

    def cancel(self) -> None:
        """Let go of everything."""
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
