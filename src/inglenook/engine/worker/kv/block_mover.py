"""Blocks on their way between the pool and the store, by way of one spare sequence. Kind: hands.

A block's cells are shared with that sequence, copied out, and forgotten; putting it back is the
same in reverse. Where the model keeps running states, which cannot be cut, only the block at whose
end a state was saved has one: that of all before it. The others have cells alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.common_prefix import WORTH_KEEPING_TOKENS

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Payload, Store


class BlockMover:
    """Moves what sequences of a context hold."""

    def __init__(self, context: Context, store: Store | None) -> None:
        """Take the context's last sequence over; without a store nothing moves."""
        self._context = context
        self._store = store
        self._transit = context.sequences - 1

    def save_next(self, number: int, tokens: Sequence[int]) -> bool:
        """Give the store the next block it has not of a sequence; say whether there may be more.

        Args:
            number: The sequence.
            tokens: What it holds; all of that, where states cannot be cut.
        """
        if self._store is None:
            return False
        missing = self._store.missing(tokens)
        if not missing or not self._is_worth_keeping(number, tokens):
            return False
        start, stop = missing[0]
        payload = self._copy_out(number, start, stop, with_state=stop == len(tokens))
        if payload is None:
            return False
        return self._store.put(tokens, start, stop, payload) and len(missing) > 1

    def put_in(
        self, number: int, start: int, stop: int, payload: Payload, make_room: Callable[[], bool]
    ) -> bool:
        """Add a block to a sequence that has all before it; say whether it is there.

        Args:
            number: The sequence.
            start: Position of the first token that it lacks, and that is wanted of the block.
            stop: Position after the last.
            payload: What was copied out for the block.
            make_room: Frees some cells, or says that none can be.
        """
        context = self._context
        while not context.copy_in(self._transit, payload):
            if not make_room():
                return False
        context.share(self._transit, number, start, stop)
        context.forget(self._transit)
        return True

    def _is_worth_keeping(self, number: int, tokens: Sequence[int]) -> bool:
        assert self._store is not None
        if self._context.trimmable:
            return True
        gained = len(tokens) - self._store.match(tokens)
        state_bytes = self._context.state_bytes(number)
        return gained >= WORTH_KEEPING_TOKENS and self._store.wants_state(tokens, state_bytes)

    def _copy_out(
        self, number: int, start: int, stop: int, *, with_state: bool
    ) -> bytearray | None:
        """Copy a block; None if the pool has lost some of it, or the library would not."""
        context = self._context
        context.share(number, self._transit, start, stop)
        try:
            if context.running_states and with_state:
                return context.copy_out(self._transit)
            if context.running_states and not context.forget_state(self._transit):
                return None
            if not context.begins_at(self._transit, start):
                return None
            return context.copy_out(self._transit)
        finally:
            context.forget(self._transit)
