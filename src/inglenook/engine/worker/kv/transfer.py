"""Transfer of blocks between the pool and the store, through one spare sequence. Kind: hands.

A block's cells are shared with that sequence, copied out, and removed from it; restoring a block is
the reverse. Where the model keeps running states, which cannot be cut, only the block at whose end
a state was saved has it: the state after all tokens so far. Other blocks have cells alone.
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
        """Take over the context's last sequence; without a store nothing is transferred.

        For ``durable`` see `Pool`.
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
        """Save the blocks of an entry that the store wants and has not."""
        while entry.to_save:
            entry.to_save = self._save_next(entry)

    def save_block(self) -> None:
        """Copy one block of a retained sequence to the store, the most recent sequence first."""
        entry = next((entry for entry in reversed(self._table) if entry.to_save), None)
        if entry is not None:
            entry.to_save = self._save_next(entry)

    def save_state(self, number: int) -> None:
        """Save a running sequence up to its present end; for states that cannot be cut."""
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
        """Insert a block from the store into a sequence that has all cells before it.

        Args:
            number: The sequence.
            run: Position of the block's first token, and the position up to which it is wanted.
            payload: The state that was copied out for it.
            make_room: Frees some cells; False if none can be freed.
            state: The payload includes the running state after the block's last token.

        Returns:
            Whether the sequence now reaches to ``stop``; if not, it is unchanged, or empty if it
            lacks its running state.
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
            # Its length cannot be checked before its running state is inserted.
            return True
        entry.stateless = False
        if self._context.length(number) != stop:
            self._table.cut(number, have)
            return False
        return True

    def drop_stateless(self, number: int) -> None:
        """After the last block: empty the sequence if it still lacks its running state."""
        if self._table[number].stateless:
            self._table.cut(number, 0)

    def _save_next(self, entry: PoolEntry) -> bool:
        """Save the next block that the store has not; returns whether there may be more."""
        tokens = entry.tokens[: self._table.held(entry.number)]
        return self._save_run(entry.number, tokens, entry.namespace)

    def _save_run(self, number: int, tokens: Sequence[int], namespace: bytes) -> bool:
        """Save a sequence's next block that the store has not; returns whether there may be more.

        Args:
            number: The sequence.
            tokens: Its tokens in the pool; all of them, where states cannot be cut.
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
        """Add cells to a sequence that has all before them; returns whether it succeeded."""
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
        """Copy a block; None if the pool lacks some of its cells, or the library failed."""
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
