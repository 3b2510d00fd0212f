"""The KV pool: who is in it, what of ended ones is kept there, what moves in and out. Kind: hands.

Three places hold what was read: the pool itself, then the store's memory, then its files. What is
kept in the pool is shared with newcomers that begin alike, and goes when its room is wanted.

Most models' states can be cut anywhere. Others keep a running state, with which one can only go on
where it ends: of those, what is kept in the pool is of use to whoever begins with all of it, and
the store has the states that were saved on the way.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.block_mover import BlockMover
from inglenook.engine.worker.kv.cells import CellAccounting
from inglenook.engine.worker.kv.common_prefix import WORTH_KEEPING_TOKENS, begins, common_tokens

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Payload, Store

#: What is only kept has at most this part of the cells, one in so many; the rest is in the store,
#: from where 1,000 tokens are back in 2 to 30 ms. And what the store has in memory goes as soon as
#: somebody comes: others should not walk it.
_KEPT_PART = 2

#: What the store must have more than the pool to be worth moving from its disk, where blocks can be
#: cut: to read as many tokens takes a second on a small board, to fetch a block from its card a
#: tenth. From memory a block comes in some milliseconds, so `WORTH_KEEPING_TOKENS` are worth it.
WORTH_FETCHING_TOKENS = 64


@dataclass(slots=True, eq=False)
class PoolEntry:
    """What the pool holds under one number.

    Attributes:
        tokens: Of an active sequence, its own list, which grows; the pool may lag behind it.
        kept: It is over, and only here for those that begin alike.
        to_save: The store has yet to be given it.
        stateless: It has cells, and nothing can be computed with them before its running state
            comes from the store.
    """

    number: int
    tokens: Tokens[int]
    kept: bool = False
    to_save: bool = False
    stateless: bool = False


class Pool:
    """Sequence numbers and cells of one context."""

    def __init__(self, context: Context, store: Store | None, *, durable: bool) -> None:
        """Take over a fresh context.

        Args:
            context: Its last sequence is used for moving blocks; any other may be computed or kept.
            store: Keeps what leaves the pool; None if nothing does.
            durable: Give the store everything soon, as it has a disk, not only what has to leave.
        """
        self._context = context
        self._store = store
        self._durable = durable
        #: Whether what it holds can be cut anywhere.
        self.trimmable = context.trimmable
        self._ledger = CellAccounting()
        self._mover = BlockMover(context, store)
        self._free = list(range(context.sequences - 2, -1, -1))
        #: Kept ones in the order of their last use.
        self._rows: dict[int, PoolEntry] = {}

    @property
    def used_cells(self) -> int:
        """How many cells hold something."""
        return self._ledger.used_cells

    @property
    def free_cells(self) -> int:
        """How many cells hold nothing."""
        return self._context.cells - self.used_cells

    @property
    def unsaved(self) -> bool:
        """Whether `save_block` has something to do."""
        return self._durable and any(row.to_save for row in self._rows.values())

    def length(self, number: int) -> int:
        """How many tokens of a sequence are there, so that one can go on after them."""
        row = self._rows.get(number)
        return 0 if row is not None and row.stateless else self._ledger.length(number)

    def common(self, tokens: Tokens[int]) -> int:
        """How many leading tokens somebody in the pool has already."""
        return self._best(tokens)[1]

    def admit(self, tokens: Tokens[int], *, spare_cells: int, state_at: int = 0) -> int | None:
        """Give a newcomer a number, with as much of its beginning as somebody else has already.

        Args:
            tokens: What it is going to hold, at first; its own list.
            spare_cells: How many cells must be left beside it.
            state_at: After how many tokens there is a running state that the store is bringing:
                then cells are all that it gets here.

        Returns:
            None if there is no number, or no room even without what is kept.
        """
        source, common = self._best_cells(tokens[:state_at]) if state_at else self._best(tokens)
        while not self._free or self.free_cells - spare_cells < len(tokens) - common:
            if self._drop_oldest(but=source):
                continue
            if source is None or not self._rows[source].kept:
                return None
            # What it would share is itself in the way.
            if not state_at:
                return self._take_over(self._rows[source], tokens, common, spare_cells)
            self._release(self._rows[source])
            source, common = None, 0
        number = self._free.pop()
        self._rows[number] = PoolEntry(number, tokens, stateless=state_at > 0)
        if source is not None and state_at:
            self._context.share(source, number, 0, common)
            self._context.forget_state(number)
            self._ledger.share(source, number, common)
        elif source is not None:
            self._begin_alike(source, number, common)
        return number

    def drop_stored(self) -> None:
        """Forget what is only kept and in the store's memory as well: somebody has come.

        Attention walks every cell up to the highest in use. 300 cells kept for nobody cost one
        answer of a small model 3 % of its speed, and 1,000 cost it 6 %, or eight answers 4 %; of a
        model with 1.5B parameters, 2 %.
        """
        if self._store is None:
            return
        rows = self._rows.values()
        leaving = {r.number for r in rows if r.kept and self._store.in_memory(r.tokens)}
        # A beginning that only those who leave share goes with them. Who has little but what others
        # have stays: it would not be worth fetching again.
        only = self._ledger.only
        while staying := {n for n in leaving if only(n, leaving) < WORTH_KEEPING_TOKENS}:
            leaving -= staying
        for row in [self._rows[n] for n in self._rows if n in leaving]:
            self._store.touch(row.tokens)
            self.drop(row.number)

    def grew(self, number: int, tokens: int) -> None:
        """A batch added tokens to a sequence."""
        self._ledger.grow(number, tokens)

    def cut(self, number: int, position: int) -> bool:
        """Forget a sequence from ``position`` on; if that can't be done, forget all of it.

        Returns:
            Whether it was done as asked.
        """
        done = position == 0 or self._context.forget(number, position)
        if not done or position == 0:
            self._context.forget(number)
            self._rows[number].stateless = False
        self._ledger.cut(number, position if done else 0)
        return done

    def resynchronise(self) -> None:
        """After an aborted or failed batch: believe the library how far each sequence has come."""
        if self.trimmable:
            for number in self._rows:
                self.cut(number, min(self._ledger.length(number), self._context.length(number)))
            return
        # Running states are moved about while a batch is computed, also of sequences that are not
        # in it: who knows which of them arrived.
        for number in list(self._rows):
            if self._rows[number].kept:
                self.drop(number)
            else:
                self.cut(number, 0)

    def keep(self, number: int, *, save: bool, whole: bool = True) -> None:
        """A sequence is over; keep what was computed of it for others, while there is room.

        Args:
            number: The sequence.
            save: Whether it may outlive the pool, in the store.
            whole: Whether anything can begin with all of it.
        """
        length = self.length(number)
        row = self._rows.pop(number)
        trimmable = self.trimmable
        if length < WORTH_KEEPING_TOKENS or not (whole or trimmable):
            self._forget(number)
            return
        tokens = row.tokens[:length]
        for other in [o for o in self._rows.values() if o.kept and begins(tokens, o.tokens)]:
            other.to_save = other.to_save and not (save and trimmable)
            self._release(other)
        self._rows[number] = PoolEntry(number, tokens, kept=True, to_save=save)
        if self._store is not None:
            while self._kept_tokens > self._context.cells // _KEPT_PART:
                if not self._drop_oldest(but=number):
                    break

    def drop(self, number: int) -> None:
        """Forget a sequence."""
        del self._rows[number]
        self._forget(number)

    def park(self, number: int) -> None:
        """Take a sequence out of the pool, into the store as far as that has room."""
        row = self._rows[number]
        row.tokens = row.tokens[: self.length(number)]
        row.to_save = True
        self._release(row)

    def make_room(self) -> bool:
        """Drop what was kept longest without being used; say whether there was anything."""
        return self._drop_oldest(but=None)

    def save_block(self) -> None:
        """Copy one block of what is kept to the store, the most recent first: it may go on soon."""
        row = next((row for row in reversed(self._rows.values()) if row.to_save), None)
        if row is not None:
            row.to_save = self._save_next(row)

    def put_in(
        self, number: int, start: int, stop: int, payload: Payload, *, state: bool = False
    ) -> bool:
        """Add a block from the store to a sequence that has everything before it.

        Args:
            number: The sequence.
            start: Position of the block's first token.
            stop: Position up to which it is wanted; the block may hold more.
            payload: What was once copied out for it.
            state: It has the running state after its last token, as well.

        Returns:
            Whether the sequence now reaches to ``stop``; else it is as it was, or without its
            running state has nothing.
        """
        row, have = self._rows[number], self._ledger.length(number)
        if have >= stop and not state:
            return True
        if start > have or not self._mover.put_in(
            number, max(start, have), stop, payload, self.make_room
        ):
            return False
        if stop > have:
            self._ledger.grow(number, stop - have)
        if row.stateless and not state:
            # Nothing can be told of it before its state is there.
            return True
        row.stateless = False
        if self._context.length(number) != stop:
            self.cut(number, have)
            return False
        return True

    def settle(self, number: int) -> None:
        """Nothing more comes from the store: what lacks its running state is of no use."""
        if self._rows[number].stateless:
            self.cut(number, 0)

    def save_state(self, number: int) -> None:
        """Give the store a running sequence as it stands; for states that cannot be cut."""
        self._give_to_store(PoolEntry(number, self._rows[number].tokens, to_save=True))

    def purge(self) -> None:
        """Forget all that is kept, here and in the store."""
        for row in [row for row in self._rows.values() if row.kept]:
            row.to_save = False
            self._release(row)
        if self._store is not None:
            self._store.purge()

    @property
    def _kept_tokens(self) -> int:
        return sum(self._ledger.length(row.number) for row in self._rows.values() if row.kept)

    def _best(self, tokens: Tokens[int]) -> tuple[int | None, int]:
        """Who has most of a newcomer's beginning, and how much of it."""
        # One token must be left to compute, for its scores.
        wanted = tokens[: len(tokens) - 1]
        best: tuple[int | None, int] = (None, WORTH_KEEPING_TOKENS)
        for row in self._rows.values():
            held = row.tokens[: self.length(row.number)]
            if self.trimmable:
                common = common_tokens(wanted, held)
            else:
                common = len(held) if row.kept and begins(wanted, held) else 0
            # Of those that have as much, the one used last: who only shares the template with all
            # does not bring what is oldest back into use.
            if common >= best[1] and self._context.reaches_back(row.number, common):
                best = (row.number, common)
        return best if best[0] is not None else (None, 0)

    def _best_cells(self, tokens: Tokens[int]) -> tuple[int | None, int]:
        """Who has most of a beginning in cells, whatever its running state is of, and how much."""
        best: tuple[int | None, int] = (None, 0)
        for row in self._rows.values() if self._context.shares_cells else ():
            common = common_tokens(tokens, row.tokens[: self._ledger.length(row.number)])
            if common > best[1]:
                best = (row.number, common)
        return best

    def _begin_alike(self, source: int, number: int, common: int) -> None:
        whole = not self.trimmable
        self._context.share(source, number, *((-1, -1) if whole else (0, common)))
        self._ledger.share(source, number, common)
        row = self._rows[source]
        if row.kept:
            # Used now, so the last to go; or, if the newcomer has all of it, of no more use.
            if common == self._ledger.length(source) and not row.to_save:
                self._release(row)
            else:
                self._rows[source] = self._rows.pop(source)

    def _take_over(
        self, row: PoolEntry, tokens: Tokens[int], common: int, spare_cells: int
    ) -> int | None:
        """Let a newcomer go on under the number of a kept one, from where they differ."""
        self._give_to_store(row)
        number = row.number
        if common < self._ledger.length(number):
            self.cut(number, common)
            row.tokens = row.tokens[:common]
            common = self._ledger.length(number)
        if self.free_cells - spare_cells < len(tokens) - common:
            return None
        del self._rows[number]
        self._rows[number] = PoolEntry(number, tokens)
        return number

    def _drop_oldest(self, *, but: int | None) -> bool:
        for row in self._rows.values():
            if row.kept and row.number != but:
                self._release(row)
                return True
        return False

    def _release(self, row: PoolEntry) -> None:
        """Let the store have what it wants of a row, then forget it."""
        self._give_to_store(row)
        self.drop(row.number)

    def _give_to_store(self, row: PoolEntry) -> None:
        while row.to_save:
            row.to_save = self._save_next(row)

    def _forget(self, number: int) -> None:
        self._context.forget(number)
        self._ledger.cut(number, 0)
        self._free.append(number)

    def _save_next(self, row: PoolEntry) -> bool:
        """Give the store the next block it has not; say whether there may be more."""
        return self._mover.save_next(row.number, row.tokens[: self._ledger.length(row.number)])
