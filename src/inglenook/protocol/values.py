"""Finds a JSON value that cannot be taken, and its place. Kind: rules.

The usual decoder stops at such a value as it does at what is no JSON at all. This one reads on, so
that the client is told what is wrong.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

#: Objects and arrays within each other. Far more than any schema needs, and few enough for every
#: encoder on the way to the engine and the journal, of which some have Python's own limit of 1,000.
NESTING_MAX = 256

TOO_DEEP = f"More than {NESTING_MAX} objects and arrays within each other"

#: Digits of a whole number; Python's own limit (``sys.get_int_max_str_digits``).
_DIGITS_MAX = 4300

#: Values looked at to find the place of a bad one; beyond these it is refused without its place.
_PLACES_MAX = 10_000

#: RFC 8259, section 8.2: JSON can escape half of a surrogate pair, which is no character.
_HALF = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

#: Names that an error may repeat; others could hold anything.
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}", re.ASCII)

_SPACE = r"[ \t\n\r]*"
_OPEN = re.compile(rf"{_SPACE}{{{_SPACE}")
_COLON = re.compile(rf"{_SPACE}:{_SPACE}")
_COMMA = re.compile(rf"{_SPACE},{_SPACE}")


class NestedTooDeeplyError(Exception):
    """It may be JSON, but cannot be read to the end."""


@dataclass(frozen=True, slots=True)
class _BadNumber:
    """Takes the place of a number that cannot be taken."""

    fault: str


def _whole(digits: str) -> int | _BadNumber:
    too_long = len(digits.lstrip("-")) > _DIGITS_MAX
    return _BadNumber("Number out of range") if too_long else int(digits)


def _real(digits: str) -> float | _BadNumber:
    number = float(digits)
    return number if math.isfinite(number) else _BadNumber("Number out of range")


def _named(name: str) -> _BadNumber:
    return _BadNumber(f"{name} is no JSON number")


_decoder = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=_named)


def read(text: str) -> Any:
    """Read JSON with values in it that cannot be taken; `find_fault` then names them.

    Raises:
        ValueError: If it is no JSON.
        NestedTooDeeplyError: If it is nested so deeply that it cannot be read at all.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise NestedTooDeeplyError from None


def read_leading(text: str) -> dict[str, Any]:
    """Read the members of an object up to the first that cannot be read."""
    members: dict[str, Any] = {}
    start = _OPEN.match(text)
    try:
        while start is not None:
            name, end = _decoder.raw_decode(text, start.end())
            colon = _COLON.match(text, end)
            if colon is None or not isinstance(name, str):
                break
            members[name], end = _decoder.raw_decode(text, colon.end())
            start = _COMMA.match(text, end)
    except (ValueError, RecursionError):
        pass
    return members


def find_fault(value: Any) -> str | None:
    """Say what is wrong with the first value that cannot be taken, and where: `` - at `$.a[0]` ``.

    Args:
        value: As `read` gave it.

    Returns:
        A sentence without its full stop, or None if all can be taken.
    """
    if is_nested_too_deeply(value):
        return TOO_DEEP
    everything = chain([value], chain.from_iterable(_levels(value)))
    fault = next(filter(None, map(_fault_of, everything)), None)
    if fault is None:
        return None
    for node in islice(_walk(value), _PLACES_MAX):
        if (found := _fault_of(node.value)) is not None:
            return f"{found} - at `{node.path()}`"
    return fault


def is_nested_too_deeply(value: Any) -> bool:
    """Whether it has more than `NESTING_MAX` objects and arrays within each other."""
    return sum(1 for _level in islice(_levels(value), NESTING_MAX + 1)) > NESTING_MAX


def mended(text: str) -> str:
    """Put U+FFFD in the place of each half of a surrogate pair, as where an emoji was cut."""
    return _HALF.sub(_REPLACEMENT, text)


def _levels(value: Any) -> Iterator[list[Any]]:
    """Give the values in all containers of one depth together, from the outside in.

    Some millions of values a second: a frame has room for 130,000, and others wait meanwhile.
    """
    level = [value]
    while level := [inner for inner in level if isinstance(inner, dict | list)]:
        level = list(chain.from_iterable(v.values() if isinstance(v, dict) else v for v in level))
        yield level


@dataclass(frozen=True, slots=True)
class _Node:
    """A value within another, and the step that leads there from its parent."""

    value: Any
    parent: _Node | None
    step: str

    def path(self) -> str:
        steps = []
        node: _Node | None = self
        while node is not None:
            steps.append(node.step)
            node = node.parent
        return "".join(reversed(steps))


def _walk(value: Any) -> Iterator[_Node]:
    """Give every value in the order of the text."""
    waiting = [_Node(value, None, "$")]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(_children(node)))


def _children(node: _Node) -> list[_Node]:
    value = node.value
    if isinstance(value, dict):
        return [_Node(inner, node, _step(name)) for name, inner in value.items()]
    if isinstance(value, list):
        return [_Node(inner, node, f"[{index}]") for index, inner in enumerate(value)]
    return []


def _step(name: str) -> str:
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else "[...]"


def _fault_of(value: Any) -> str | None:
    if isinstance(value, str):
        return None if _HALF.search(value) is None else "Half of a surrogate pair in a text"
    if isinstance(value, _BadNumber):
        return value.fault
    if isinstance(value, dict) and any(map(_HALF.search, value)):
        return "Half of a surrogate pair in a name"
    return None
