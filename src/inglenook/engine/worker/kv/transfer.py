"""Blocks on their way between the pool and the store, by way of one spare sequence. Kind: hands.

A block's cells are shared with that sequence, copied out, and forgotten; putting it back is the
same in reverse. Where the model keeps running states, which cannot be cut, only the block at whose
end a state was saved has one: that of all before it. The others have cells alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS
from inglenook.engine.worker.kv.sequence_table import PoolEntry, SequenceTable

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Payload, Store


class StoreTransfer:
    """Copies blocks of the pool's sequences to the store and back."""

    def __init__(
        self, context: Context, table: SequenceTable, store: Store | None, *, durable: bool
    ) -> None:
        """Take the context's last sequence over; without a store nothing moves.

        ``durable`` gives the store everything soon, see `Pool`.
        """
        self._context = context
        self._table = table
        self._store = store
        self._durable = durable
        self._transit = context.sequences - 1

    @property
    def unsaved(self) -> bool:
        """Whether `save_block` has something to do."""
        return self._durable and any(entry.to_save for entry in self._table)

    def save(self, entry: PoolEntry) -> None:
        """Give the store what it wants of an entry that leaves the pool."""
        while entry.to_save:
            entry.to_save = self._save_next(entry)

    def save_block(self) -> None:
        """Copy one block of a retained sequence to the store, the most recent sequence first."""
        entry = next((entry for entry in reversed(self._table) if entry.to_save), None)
        if entry is not None:
            entry.to_save = self._save_next(entry)

    def save_state(self, number: int) -> None:
        """Give the store a running sequence as it stands; for states that cannot be cut."""
        entry = self._table[number]
        self.save(PoolEntry(number, entry.tokens, entry.namespace, to_save=True))

    def insert(
        self,
        number: int,
        run: tuple[int, int],
        payload: Payload,
        make_room: Callable[[], bool],
        *,
        state: bool = False,
    ) -> bool:
        """Add a block from the store to a sequence that has everything before it.

        Args:
            number: The sequence.
            run: Position of the block's first token, and up to which it is wanted.
            payload: What was once copied out for it.
            make_room: Frees some cells, or says that none can be.
            state: It has the running state after its last token, as well.

        Returns:
            Whether the sequence now reaches to ``stop``; else it is as it was, or without its
            running state has nothing.
        """
        start, stop = run
        entry, have = self._table[number], self._table.held(number)
        if have >= stop and not state:
            return True
        if start > have or not self._copy_in(number, max(start, have), stop, payload, make_room):
            return False
        if stop > have:
            self._table.grew(number, stop - have)
        if entry.stateless and not state:
            # Nothing can be told of it before its state is there.
            return True
        entry.stateless = False
        if self._context.length(number) != stop:
            self._table.cut(number, have)
            return False
        return True

    def drop_stateless(self, number: int) -> None:
        """Nothing more comes from the store: what lacks its running state is of no use."""
        if self._table[number].stateless:
            self._table.cut(number, 0)

    def _save_next(self, entry: PoolEntry) -> bool:
        """Give the store the next block it has not; say whether there may be more."""
        tokens = entry.tokens[: self._table.held(entry.number)]
        return self._save_run(entry.number, tokens, entry.namespace)

    def _save_run(self, number: int, tokens: Sequence[int], namespace: bytes) -> bool:
        """Give the store the next block it has not of a sequence; say whether there may be more.

        Args:
            number: The sequence.
            tokens: What it holds; all of that, where states cannot be cut.
            namespace: See `StartJob`.
        """
        if self._store is None:
            return False
        missing = self._store.missing(tokens, namespace)
        if not missing or not self._is_worth_saving(number, tokens, namespace):
            return False
        start, stop = missing[0]
        payload = self._copy_out(number, start, stop, with_state=stop == len(tokens))
        if payload is None:
            return False
        return self._store.put(tokens, (start, stop), payload, namespace) and len(missing) > 1

    def _copy_in(
        self, number: int, start: int, stop: int, payload: Payload, make_room: Callable[[], bool]
    ) -> bool:
        """Add cells to a sequence that has all before them; say whether they are there."""
        context = self._context
        while not context.copy_in(self._transit, payload):
            if not make_room():
                return False
        context.share(self._transit, number, start, stop)
        context.forget(self._transit)
        return True

    def _is_worth_saving(self, number: int, tokens: Sequence[int], namespace: bytes) -> bool:
        assert self._store is not None
        if self._context.trimmable:
            return True
        gained = len(tokens) - self._store.match(tokens, namespace)
        state_bytes = self._context.state_bytes(number)
        wanted = self._store.wants_state(tokens, state_bytes, namespace)
        return gained >= MIN_PREFIX_TOKENS and wanted

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
