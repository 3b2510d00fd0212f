"""The sequences of one context: their numbers, their cells, their tokens. Kind: hands.

Each call changes the library's context and the accounting of its cells together.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.cells import CellAccounting
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS, begins, common_tokens


@dataclass(slots=True, eq=False)
class PoolEntry:
    """One sequence in the pool.

    Attributes:
        number: The sequence id in the context.
        tokens: Of a running sequence, its own list, which grows; the pool may lag behind it.
        namespace: See `StartJob`; cells are shared within one only.
        retained: Finished, and here only for requests that have the same prefix.
        to_save: Not saved in the store yet.
        stateless: It has cells, but cannot be continued before the store has fetched its running
            state.
    """

    number: int
    tokens: Tokens[int]
    namespace: bytes = b""
    retained: bool = False
    to_save: bool = False
    stateless: bool = False


class SequenceTable:
    """Entries by number; retained ones in the order of their last use."""

    def __init__(self, context: Context) -> None:
        """Take over a fresh context, except its last sequence."""
        self._context = context
        self._cells = CellAccounting()
        self._free = list(range(context.sequences - 2, -1, -1))
        self._entries: dict[int, PoolEntry] = {}

    def __getitem__(self, number: int) -> PoolEntry:
        return self._entries[number]

    def __iter__(self) -> Iterator[PoolEntry]:
        return iter(list(self._entries.values()))

    def __reversed__(self) -> Iterator[PoolEntry]:
        return reversed(self._entries.values())

    @property
    def used_cells(self) -> int:
        """Number of cells in use."""
        return self._cells.used_cells

    @property
    def retained_tokens(self) -> int:
        """Number of tokens of retained sequences, shared ones counted for each."""
        return sum(self.held(entry.number) for entry in self if entry.retained)

    @property
    def has_number(self) -> bool:
        """Whether another sequence could be added."""
        return bool(self._free)

    def held(self, number: int) -> int:
        """Number of a sequence's tokens that have cells."""
        return self._cells.length(number)

    def length(self, number: int) -> int:
        """Number of a sequence's tokens after which it can continue."""
        entry = self._entries.get(number)
        return 0 if entry is not None and entry.stateless else self.held(number)

    def exclusive_cells(self, number: int, leaving: set[int]) -> int:
        """Number of a sequence's cells that no other shares, not counting ``leaving``."""
        return self._cells.exclusive_cells(number, leaving)

    def add(self, tokens: Tokens[int], namespace: bytes, *, stateless: bool) -> PoolEntry:
        """Add a sequence without cells; there must be a number."""
        entry = PoolEntry(self._free.pop(), tokens, namespace, stateless=stateless)
        self._entries[entry.number] = entry
        return entry

    def replace(self, entry: PoolEntry) -> None:
        """Put an entry in place of the one with its number, as the last used."""
        self._entries.pop(entry.number, None)
        self._entries[entry.number] = entry

    def remove(self, number: int) -> None:
        """Remove a sequence and its cells."""
        self._entries.pop(number, None)
        self._context.forget(number)
        self._cells.cut(number, 0)
        self._free.append(number)

    def share(self, source: int, number: int, tokens: int) -> None:
        """Share the first cells of one sequence with another, without its running state."""
        self._context.share(source, number, 0, tokens)
        self._cells.share(source, number, tokens)

    def share_all(self, source: int, number: int) -> None:
        """Share all cells of one sequence with another, and its running state."""
        self._context.share(source, number, -1, -1)
        self._cells.share(source, number, self.held(source))

    def grew(self, number: int, tokens: int) -> None:
        """Account for tokens that a batch added to a sequence."""
        self._cells.grow(number, tokens)

    def cut(self, number: int, position: int) -> bool:
        """Remove a sequence's cells from ``position`` on; if that can't be done, all of them.

        Returns:
            Whether it was done as asked.
        """
        done = position == 0 or self._context.forget(number, position)
        if not done or position == 0:
            self._context.forget(number)
            self._entries[number].stateless = False
        self._cells.cut(number, position if done else 0)
        return done

    def best_match(self, tokens: Tokens[int], namespace: bytes) -> tuple[int | None, int]:
        """The sequence with the longest common prefix, and its length in tokens."""
        # One token must be left to compute, for its logits.
        wanted = tokens[: len(tokens) - 1]
        best: tuple[int | None, int] = (None, MIN_PREFIX_TOKENS)
        for entry in self._entries.values():
            if entry.namespace != namespace:
                continue
            held = entry.tokens[: self.length(entry.number)]
            if self._context.trimmable:
                common = common_tokens(wanted, held)
            else:
                common = len(held) if entry.retained and begins(wanted, held) else 0
            # Of equal ones, the most recently used: a prompt that shares only the template with all
            # does not mark the oldest as used.
            if common >= best[1] and self._context.reaches_back(entry.number, common):
                best = (entry.number, common)
        return best if best[0] is not None else (None, 0)

    def best_cells(self, tokens: Tokens[int], namespace: bytes) -> tuple[int | None, int]:
        """As `best_match`, by cells alone, without regard to running states."""
        best: tuple[int | None, int] = (None, 0)
        for entry in self._entries.values() if self._context.shares_cells else ():
            if entry.namespace == namespace:
                common = common_tokens(tokens, entry.tokens[: self.held(entry.number)])
                if common > best[1]:
                    best = (entry.number, common)
        return best
