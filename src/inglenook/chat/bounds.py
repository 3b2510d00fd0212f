"""Bounds of numbers that the engine's library gets wrong, and where they meet. Kind: rules.

Between a whole number that is excluded and a fraction less than one away, llguidance 1.9 lets the
whole number pass. The two bounds may come from different schemas that one value has to keep to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

_EXCLUSIVE = ("exclusiveMinimum", "exclusiveMaximum")

#: A part of a value: what it is part of, "member" or "item", and its name; None stands for any.
Part: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Bound:
    """One of the four keywords that say how small or large a number may be."""

    keyword: str
    number: float


def near(bounds: Sequence[Bound]) -> set[Bound]:
    """Find the whole numbers that are excluded, and less than one from a fraction."""
    fractions = [bound.number for bound in bounds if bound.number % 1]
    below = {math.floor(fraction) for fraction in fractions}
    return {
        bound
        for bound in bounds
        if bound.keyword in _EXCLUSIVE
        and not bound.number % 1
        and {bound.number - 1, bound.number} & below
    }


class Meetings:
    """Schemas, by number, that may describe one value.

    Where two do, those that they have for the same member do as well, and so on.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._parts: dict[int, dict[Part, int]] = {}

    def of(self, schema: int) -> int:
        """The representative of all schemas that meet this one."""
        while (following := self._next.get(schema, schema)) != schema:
            self._next[schema] = self._next.get(following, following)
            schema = following
        return schema

    def put(self, outer: int, part: Part, inner: int) -> None:
        """Record that one schema has another for a part of its value."""
        for pair in self._put(self.of(outer), part, inner):
            self.join(*pair)

    def join(self, one: int, other: int) -> None:
        """Record that two schemas describe the same value."""
        waiting = [(one, other)]
        while waiting:
            first, second = waiting.pop()
            keeps, goes = self.of(first), self.of(second)
            if keeps == goes:
                continue
            # The fewer are moved, or a long row of joins would move the many each time.
            if len(self._parts.get(keeps, ())) < len(self._parts.get(goes, ())):
                keeps, goes = goes, keeps
            self._next[goes] = keeps
            for part, inner in self._parts.pop(goes, {}).items():
                waiting += self._put(keeps, part, inner)

    def _put(self, outer: int, part: Part, inner: int) -> list[tuple[int, int]]:
        """Put a part to the others; returns what is to be joined for it."""
        parts = self._parts.setdefault(outer, {})
        of, name = part
        if part in parts:
            return [(parts[part], inner)]
        parts[part] = inner
        if name is None:
            return [(inner, other) for (kind, _name), other in parts.items() if kind == of]
        return [(inner, parts[of, None])] if (of, None) in parts else []
