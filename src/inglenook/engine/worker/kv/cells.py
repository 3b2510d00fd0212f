"""Which cells of the KV pool belong to whom, counted without asking the library. Kind: rules.

Sequences with a common beginning share its cells, so lengths cannot just be added up. A cell is
named by the life that computed it and its position there; a sequence holds spans of such names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple


class CellRange(NamedTuple):
    """Cells ``start`` to ``stop`` (positions) that were computed in the life ``origin``."""

    owner: int
    start: int
    stop: int


class CellAccounting:
    """Keeps account of a pool; every method mirrors one call of the library."""

    def __init__(self) -> None:
        self._held: dict[int, list[CellRange]] = {}
        #: The life in which a sequence computes now, while it has computed anything in it.
        self._owners: dict[int, int] = {}
        self._last_owner = 0

    @property
    def used_cells(self) -> int:
        """How many cells hold something."""
        return _count(self._held)

    def length(self, number: int) -> int:
        """How many tokens a sequence has in the pool."""
        ranges = self._held.get(number)
        return ranges[-1].stop if ranges else 0

    def exclusive_cells(self, number: int, leaving: Container[int] = ()) -> int:
        """How many cells of this sequence are nobody else's, once those who leave are gone."""
        others = {n: ranges for n, ranges in self._held.items() if n != number and n not in leaving}
        return _count({**others, number: self._held.get(number, [])}) - _count(others)

    def grow(self, number: int, tokens: int) -> None:
        """A sequence got so many cells more, at its end."""
        ranges = self._held.setdefault(number, [])
        start = ranges[-1].stop if ranges else 0
        # A span is only ever made longer by the life that made it: others may share it.
        if ranges and ranges[-1].owner == self._owners.get(number):
            ranges[-1] = CellRange(ranges[-1].owner, ranges[-1].start, start + tokens)
        else:
            self._owners[number] = self._last_owner = self._last_owner + 1
            ranges.append(CellRange(self._last_owner, start, start + tokens))

    def share(self, source: int, number: int, stop: int) -> None:
        """``number``, which had nothing, got the first ``stop`` cells of ``source`` as well."""
        self._held[number] = list(_clipped(self._held[source], stop))
        self._owners.pop(number, None)

    def cut(self, number: int, stop: int) -> None:
        """A sequence lost everything from position ``stop`` on."""
        self._held[number] = list(_clipped(self._held.get(number, ()), stop))
        # What it computes there now is not what others may still share.
        self._owners.pop(number, None)
        if not self._held[number]:
            del self._held[number]


def _clipped(ranges: Iterable[CellRange], stop: int) -> Iterable[CellRange]:
    for part in ranges:
        if part.start < stop:
            yield part._replace(stop=min(part.stop, stop))


def _count(held: Mapping[int, Iterable[CellRange]]) -> int:
    """How many different cells there are: the length of the union of spans, life by life."""
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
