"""The KV pool: which sequences are in it, which are retained, what moves in and out. Kind: hands.

Computed tokens are in three places: the pool itself, the store's RAM tier, and its disk tier.
Retained sequences share their cells with requests that begin alike, and are evicted when their room
is wanted.

Most models' states can be cut anywhere. Others keep a running state, with which one can only
continue where it ends: a retained sequence of those is of use only to a request that begins with
all of it, and the store has the states that were saved on the way.
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

#: Retained sequences have at most this share of the cells, one in so many; the store has the rest,
#: from where 1,000 tokens are restored in 2 to 30 ms. Those that the RAM tier holds are evicted at
#: the next admission: attention of others should not walk them.
_RETAINED_SHARE = 2

#: Tokens that the store must have beyond the pool to be worth fetching from its disk, where blocks
#: can be cut: to prefill as many takes a second on a small board, to fetch a block from its card a
#: tenth. From memory a block comes in some milliseconds, so `MIN_PREFIX_TOKENS` are worth it.
MIN_FETCH_TOKENS = 64


class Pool:
    """Sequences and cells of one context."""

    def __init__(self, context: Context, store: Store | None, *, durable: bool) -> None:
        """Take over a fresh context.

        Args:
            context: Its last sequence is used for moving blocks; others are active or retained.
            store: Stores what leaves the pool; None if nothing does.
            durable: Give the store everything soon, as it has a disk, not only what has to leave.
        """
        self._context = context
        self._store = store
        #: Whether what it holds can be cut anywhere.
        self.trimmable = context.trimmable
        self.table = SequenceTable(context)
        self.transfer = StoreTransfer(context, self.table, store, durable=durable)

    @property
    def used_cells(self) -> int:
        """How many cells hold something."""
        return self.table.used_cells

    @property
    def free_cells(self) -> int:
        """How many cells hold nothing."""
        return self._context.cells - self.used_cells

    def length(self, number: int) -> int:
        """How many tokens of a sequence can be continued after."""
        return self.table.length(number)

    def common(self, tokens: Tokens[int], namespace: bytes) -> int:
        """How many leading tokens some sequence in the pool has already."""
        return self.table.best_match(tokens, namespace)[1]

    def admit(
        self, tokens: Tokens[int], namespace: bytes, *, spare_cells: int, state_at: int = 0
    ) -> int | None:
        """Give a new sequence a number, with as much of its beginning as another has already.

        Args:
            tokens: What it is going to hold, at first; its own list.
            namespace: See `StartJob`.
            spare_cells: How many cells must be left beside it.
            state_at: After how many tokens there is a running state that the store is bringing:
                then cells are all that it gets here.

        Returns:
            None if there is no number, or no room even without retained sequences.
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
            # What it would share is itself in the way.
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

        Attention walks every cell up to the highest in use. 300 cells retained for nothing cost one
        answer of a small model 3 % of its speed, and 1,000 cost it 6 %, or eight answers 4 %; of a
        model with 1.5B parameters, 2 %.
        """
        store = self._store
        if store is None:
            return
        retained = [entry for entry in self.table if entry.retained]
        leaving = {e.number for e in retained if store.in_memory(e.tokens, e.namespace)}
        # A beginning that only evictees share goes with them. One that has little but what others
        # have stays: it would not be worth fetching again.
        exclusive_cells = self.table.exclusive_cells
        while staying := {n for n in leaving if exclusive_cells(n, leaving) < MIN_PREFIX_TOKENS}:
            leaving -= staying
        for entry in retained:
            if entry.number in leaving:
                store.touch(entry.tokens, entry.namespace)
                self.evict(entry.number)

    def grew(self, number: int, tokens: int) -> None:
        """A batch added tokens to a sequence."""
        self.table.grew(number, tokens)

    def cut(self, number: int, position: int) -> bool:
        """Forget a sequence from ``position`` on; see `SequenceTable.cut`."""
        return self.table.cut(number, position)

    def resynchronise(self) -> None:
        """After an aborted or failed batch: believe the library how far each sequence has come."""
        for entry in self.table:
            number = entry.number
            if self.trimmable:
                self.cut(number, min(self.table.held(number), self._context.length(number)))
            # Running states are moved about while a batch is computed, also of sequences that are
            # not in it, so none of them can be trusted.
            elif entry.retained:
                self.evict(number)
            else:
                self.cut(number, 0)

    def retain(self, number: int, *, save: bool, whole: bool = True) -> None:
        """A sequence has finished; retain what was computed of it, while there is room.

        Args:
            number: The sequence.
            save: Whether it may outlive the pool, in the store.
            whole: Whether anything can begin with all of it.
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
        """Forget a sequence, without giving it to the store."""
        self.table.remove(number)

    def preempt(self, number: int) -> None:
        """Take a sequence out of the pool, into the store as far as that has room."""
        entry = self.table[number]
        entry.tokens = entry.tokens[: self.length(number)]
        entry.to_save = True
        self._release(entry)

    def make_room(self) -> bool:
        """Evict the least recently used retained sequence; say whether there was one."""
        return self._evict_oldest(but=None)

    def purge(self) -> None:
        """Forget all that is retained, here and in the store."""
        for entry in self.table:
            if entry.retained:
                self.evict(entry.number)
        if self._store is not None:
            self._store.purge()

    def _share(self, source: int, number: int, common: int) -> None:
        """Let a new sequence begin with the cells of another."""
        if self.trimmable:
            self.table.share(source, number, common)
        else:
            self.table.share_all(source, number)
        entry = self.table[source]
        if entry.retained:
            # Used now, so the last to go; or, if the new one has all of it, of no more use.
            if common == self.table.held(source) and not entry.to_save:
                self._release(entry)
            else:
                self.table.replace(entry)

    def _take_over(
        self, entry: PoolEntry, tokens: Tokens[int], common: int, spare_cells: int
    ) -> int | None:
        """Let a new sequence go on under the number of a retained one, from where they differ."""
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
        """Let the store have what it wants of an entry, then evict it."""
        self.transfer.save(entry)
        self.evict(entry.number)
