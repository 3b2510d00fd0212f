"""The KV pool: admits sequences, retains finished ones, evicts them for room. Kind: hands.

States of computed tokens are in three places: the pool itself, the store's RAM tier, and its disk
tier. Retained sequences share their cells with requests that have the same prefix, and are evicted
when their cells are needed.

Most models' states can be cut anywhere. Others keep a running state, which can be continued only
where it ends: a retained sequence of such a model serves only requests that begin with all of it,
and the store has the states that were saved on the way.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from typing import TYPE_CHECKING

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS, begins
from inglenook.engine.worker.kv.sequence_table import PoolEntry, SequenceTable
from inglenook.engine.worker.kv.transfer import StoreTransfer

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

#: Retained sequences have at most one in this number of cells; the store has the rest, from where
#: 1,000 tokens are restored in 2 to 30 ms. Those that the RAM tier holds are evicted at the next
#: admission, so that attention of other sequences does not walk them.
_RETAINED_SHARE = 2

#: Tokens that the store must have beyond the pool to be fetched from its disk, where blocks can be
#: cut: a small board prefills as many in a second, and reads a block from its card in a tenth. From
#: RAM a block takes some milliseconds, so `MIN_PREFIX_TOKENS` are enough.
MIN_FETCH_TOKENS = 64


class Pool:
    """Sequences and cells of one context."""

    def __init__(self, context: Context, store: Store | None, *, durable: bool) -> None:
        """Take over a fresh context.

        Args:
            context: Its last sequence is for transferring blocks; others are running or retained.
            store: Stores evicted sequences; None to discard them.
            durable: The store has a disk: save retained sequences soon, not only when evicted.
        """
        self._context = context
        self._store = store
        #: Whether states can be cut anywhere.
        self.trimmable = context.trimmable
        self.table = SequenceTable(context)
        self.transfer = StoreTransfer(context, self.table, store, durable=durable)

    @property
    def used_cells(self) -> int:
        """Number of cells in use."""
        return self.table.used_cells

    @property
    def free_cells(self) -> int:
        """Number of cells not in use."""
        return self._context.cells - self.used_cells

    def length(self, number: int) -> int:
        """Number of a sequence's tokens after which it can continue."""
        return self.table.length(number)

    def common(self, tokens: Tokens[int], namespace: bytes) -> int:
        """Length of the longest prefix that some sequence in the pool has."""
        return self.table.best_match(tokens, namespace)[1]

    def admit(
        self, tokens: Tokens[int], namespace: bytes, *, spare_cells: int, state_at: int = 0
    ) -> int | None:
        """Add a sequence, which shares the longest prefix that the pool has.

        Args:
            tokens: Its prompt; the list may grow later.
            namespace: See `StartJob`.
            spare_cells: Number of cells that must stay free.
            state_at: Number of tokens after which the store is fetching a running state; then it
                shares cells alone.

        Returns:
            Its number; None if there is none, or no room even without retained sequences.
        """
        table = self.table
        if state_at:
            source, common = table.best_cells(tokens[:state_at], namespace)
        else:
            source, common = table.best_match(tokens, namespace)
        while not table.has_number or self.free_cells - spare_cells < len(tokens) - common:
            if self._evict_oldest(but=source):
                continue
            if source is None or not table[source].retained:
                return None
            # The sequence that it would share has the cells that it needs.
            if not state_at:
                return self._take_over(table[source], tokens, common, spare_cells)
            self._release(table[source])
            source, common = None, 0
        number = table.add(tokens, namespace, stateless=state_at > 0).number
        if source is not None and state_at:
            table.share(source, number, common)
            self._context.forget_state(number)
        elif source is not None:
            self._share(source, number, common)
        return number

    def evict_stored(self) -> None:
        """Evict retained sequences that the RAM tier also holds. Called after admission.

        Attention walks every cell up to the highest in use. 300 unused retained cells slow
        one answer of a small model by 3 %, 1,000 by 6 %, or eight answers by 4 %; of a model with
        1.5B parameters, by 2 %.
        """
        store = self._store
        if store is None:
            return
        retained = [entry for entry in self.table if entry.retained]
        leaving = {e.number for e in retained if store.in_memory(e.tokens, e.namespace)}
        # A prefix that only evictees share is evicted with them. A sequence with few cells of its
        # own stays: they would not be worth fetching again.
        exclusive_cells = self.table.exclusive_cells
        while staying := {n for n in leaving if exclusive_cells(n, leaving) < MIN_PREFIX_TOKENS}:
            leaving -= staying
        for entry in retained:
            if entry.number in leaving:
                store.touch(entry.tokens, entry.namespace)
                self.evict(entry.number)

    def grew(self, number: int, tokens: int) -> None:
        """Account for tokens that a batch added to a sequence."""
        self.table.grew(number, tokens)

    def cut(self, number: int, position: int) -> bool:
        """Remove a sequence's cells from ``position`` on; see `SequenceTable.cut`."""
        return self.table.cut(number, position)

    def resynchronise(self) -> None:
        """After an aborted or failed batch: take each sequence's length from the library."""
        for entry in self.table:
            number = entry.number
            if self.trimmable:
                self.cut(number, min(self.table.held(number), self._context.length(number)))
            # The library moves running states while it computes a batch, also those of sequences
            # that are not in it, so none is valid.
            elif entry.retained:
                self.evict(number)
            else:
                self.cut(number, 0)

    def retain(self, number: int, *, save: bool, whole: bool = True) -> None:
        """Retain a finished sequence, while there is room.

        Args:
            number: The sequence.
            save: Whether it may outlive the pool, in the store.
            whole: Whether a later prompt can begin with all of it.
        """
        length = self.length(number)
        old = self.table[number]
        if length < MIN_PREFIX_TOKENS or not (whole or self.trimmable):
            self.evict(number)
            return
        tokens = old.tokens[:length]
        for other in self.table:
            same = other.retained and other.namespace == old.namespace
            if same and begins(tokens, other.tokens):
                other.to_save = other.to_save and not (save and self.trimmable)
                self._release(other)
        entry = PoolEntry(number, tokens, old.namespace, retained=True, to_save=save)
        self.table.replace(entry)
        if self._store is not None:
            while self.table.retained_tokens > self._context.cells // _RETAINED_SHARE:
                if not self._evict_oldest(but=number):
                    break

    def evict(self, number: int) -> None:
        """Remove a sequence without saving it."""
        self.table.remove(number)

    def preempt(self, number: int) -> None:
        """Save a sequence in the store, as far as that has room, and remove it."""
        entry = self.table[number]
        entry.tokens = entry.tokens[: self.length(number)]
        entry.to_save = True
        self._release(entry)

    def make_room(self) -> bool:
        """Evict the least recently used retained sequence; say whether there was one."""
        return self._evict_oldest(but=None)

    def purge(self) -> None:
        """Evict all retained sequences, and purge the store."""
        for entry in self.table:
            if entry.retained:
                self.evict(entry.number)
        if self._store is not None:
            self._store.purge()

    def _share(self, source: int, number: int, common: int) -> None:
        """Share a prefix of one sequence with a new one."""
        if self.trimmable:
            self.table.share(source, number, common)
        else:
            self.table.share_all(source, number)
        entry = self.table[source]
        if entry.retained:
            # Evicted last, as it was just used; or at once, if the new sequence has all of it.
            if common == self.table.held(source) and not entry.to_save:
                self._release(entry)
            else:
                self.table.replace(entry)

    def _take_over(
        self, entry: PoolEntry, tokens: Tokens[int], common: int, spare_cells: int
    ) -> int | None:
        """Continue a retained sequence as the new one, from where they differ."""
        self.transfer.save(entry)
        number = entry.number
        if common < self.table.held(number):
            self.cut(number, common)
            entry.tokens = entry.tokens[:common]
            common = self.table.held(number)
        if self.free_cells - spare_cells < len(tokens) - common:
            return None
        self.table.replace(PoolEntry(number, tokens, entry.namespace))
        return number

    def _evict_oldest(self, *, but: int | None) -> bool:
        for entry in self.table:
            if entry.retained and entry.number != but:
                self._release(entry)
                return True
        return False

    def _release(self, entry: PoolEntry) -> None:
        """Save an entry in the store, then evict it."""
        self.transfer.save(entry)
        self.evict(entry.number)
