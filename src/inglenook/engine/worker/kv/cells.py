"""Accounting of the KV pool's cells, without asking the library. Kind: rules.

Sequences with a common prefix share its cells, so lengths cannot just be added up. A cell is named
by its owner, which computed it, and its position; a sequence holds ranges of such names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple


class CellRange(NamedTuple):
    """Cells of the positions ``start`` to ``stop`` that ``owner`` computed."""

    owner: int
    start: int
    stop: int


class CellAccounting:
    """The cells of each sequence; every method mirrors one call of the library."""

    def __init__(self) -> None:
        self._held: dict[int, list[CellRange]] = {}
        #: The owner under which a sequence computes now, once it has computed anything.
        self._owners: dict[int, int] = {}
        self._last_owner = 0

    @property
    def used_cells(self) -> int:
        """Number of cells in use, each counted once."""
        return _count(self._held)

    def length(self, number: int) -> int:
        """Number of a sequence's tokens that have cells."""
        ranges = self._held.get(number)
        return ranges[-1].stop if ranges else 0

    def exclusive_cells(self, number: int, leaving: Container[int] = ()) -> int:
        """Number of a sequence's cells that no other shares, not counting ``leaving``."""
        others = {n: ranges for n, ranges in self._held.items() if n != number and n not in leaving}
        return _count({**others, number: self._held.get(number, [])}) - _count(others)

    def grow(self, number: int, tokens: int) -> None:
        """Add ``tokens`` cells at the end of a sequence."""
        ranges = self._held.setdefault(number, [])
        start = ranges[-1].stop if ranges else 0
        # Only the owner of a range extends it: other sequences may share it.
        if ranges and ranges[-1].owner == self._owners.get(number):
            ranges[-1] = CellRange(ranges[-1].owner, ranges[-1].start, start + tokens)
        else:
            self._owners[number] = self._last_owner = self._last_owner + 1
            ranges.append(CellRange(self._last_owner, start, start + tokens))

    def share(self, source: int, number: int, stop: int) -> None:
        """Share the first ``stop`` cells of ``source`` with ``number``, which had none."""
        self._held[number] = list(_clipped(self._held[source], stop))
        self._owners.pop(number, None)

    def cut(self, number: int, stop: int) -> None:
        """Remove a sequence's cells from position ``stop`` on."""
        self._held[number] = list(_clipped(self._held.get(number, ()), stop))
        # Other sequences may still share the cells that it had there.
        self._owners.pop(number, None)
        if not self._held[number]:
            del self._held[number]


def _clipped(ranges: Iterable[CellRange], stop: int) -> Iterable[CellRange]:
    for part in ranges:
        if part.start < stop:
            yield part._replace(stop=min(part.stop, stop))


def _count(held: Mapping[int, Iterable[CellRange]]) -> int:
    """Number of distinct cells: the length of the union of ranges, owner by owner."""
    by_owner: dict[int, list[CellRange]] = defaultdict(list)
    for ranges in held.values():
        for part in ranges:
            by_owner[part.owner].append(part)
    total = 0
    for ranges in by_owner.values():
        end = 0
        for part in sorted(ranges):
            total += max(part.stop - max(part.start, end), 0)
            end = max(end, part.stop)
    return total
