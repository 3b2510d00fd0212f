"""Places of schemas within schemas, as JSON pointers (RFC 6901). Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Keywords under which there are schemas.
ONE_SCHEMA: Final = ("items", "additionalProperties")
LISTS_OF_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMAS_BY_NAME: Final = ("properties", "patternProperties", "$defs", "definitions")

#: A step into a list; six digits are enough for any list here.
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class SchemaPlace:
    """A schema, and where it stands.

    Written out for an error only: below one long name there may be thousands of schemas.

    Attributes:
        above: The schema that it is a part of.
        steps: The way from there: a keyword, and the name or the number below it.
    """

    schema: Any
    above: SchemaPlace | None = None
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps: list[str] = []
        place: SchemaPlace | None = self
        while place is not None:
            steps += reversed(place.steps)
            place = place.above
        return "/".join(("#", *(escaped(step) for step in reversed(steps))))


def find(whole: Mapping[str, Any], pointer: str) -> Any:
    """Follow a pointer, such as ``#/properties/a``, from schema to schema.

    Returns:
        An object, or true or false; None if there is no schema.
    """
    found: Any = whole
    steps = iter(pointer.split("/")[1:])
    for keyword in steps:
        inner = found.get(keyword) if isinstance(found, Mapping) else None
        if keyword in LISTS_OF_SCHEMAS:
            found = _item(inner, next(steps, ""))
        elif keyword in SCHEMAS_BY_NAME:
            found = _member(inner, next(steps, None))
        else:
            found = inner if keyword in ONE_SCHEMA else None
    return found if isinstance(found, Mapping | bool) else None


def _item(items: Any, step: str) -> Any:
    if not isinstance(items, list) or not _INDEX.fullmatch(step) or int(step) >= len(items):
        return None
    return items[int(step)]


def _member(members: Any, step: str | None) -> Any:
    if not isinstance(members, Mapping) or step is None:
        return None
    return members.get(_unescaped(step))


def escaped(name: str) -> str:
    """Write a name as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
