"""OpenAI's ``response_format``: the JSON schema of an answer, checked. Kind: rules.

What is checked here costs no more than reading it. Whether there is such JSON at all, and whether
an engine can keep to it, only the engine can say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from inglenook.chat.bounds import Bound, Meetings, near
from inglenook.common.errors import Code, Problem
from inglenook.common.schema_walk import (
    LISTS_OF_SCHEMAS,
    ONE_SCHEMA,
    SCHEMAS_BY_NAME,
    SchemaPlace,
    find,
)

#: Of the schema as JSON text, bytes. Hand-written ones have a few KiB.
SCHEMA_BYTES_MAX: Final = 64 * 1024

#: How deep objects and lists stand in each other, in the schema's own text.
SCHEMA_DEPTH_MAX: Final = 64

#: What ``json_object`` asks for.
ANY_OBJECT: Final = '{"type": "object"}'

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NUMBERS = (*_BOUNDS, "multipleOf")

#: Under these, a schema speaks of the same value as the one around it.
_OF_THE_SAME = ("anyOf", "oneOf", "allOf")

#: These the engine looks at itself.
_VALUES = ("type", "const", "enum", "required", "maxProperties", "pattern", "format")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")

#: These say nothing about what is valid.
_ANNOTATIONS = ("title", "description", "default", "examples", "$comment")
_USES = ("deprecated", "readOnly", "writeOnly")

#: Keywords under which there is no schema, nor anything to be checked here.
_LEFT_ALONE = frozenset(("$ref", *_VALUES, *_COUNTS, *_ANNOTATIONS, *_USES))

#: These do too, for the whole: which edition of the standard it is written to, and its name.
_ANNOTATIONS_OF_THE_WHOLE = ("$schema", "$id")

#: Characters of a name in a message, since clients choose names.
_SAID_CHARACTERS_MAX = 100


def schema_of(response_format: Any) -> str | None:
    """Find out what a request wants its answer to be.

    Args:
        response_format: As it came, None included.

    Returns:
        A JSON schema as text, in ASCII; None leaves the answer free.

    Raises:
        Problem: `Code.BAD_REQUEST` with a sentence naming the place.
    """
    if response_format is None:
        return None
    if not isinstance(response_format, Mapping):
        raise _bad("'response_format' must be an object with 'type'")
    match response_format.get("type"):
        case "text":
            _only(response_format, "response_format", "type")
            return None
        case "json_object":
            _only(response_format, "response_format", "type")
            return ANY_OBJECT
        case "json_schema":
            _only(response_format, "response_format", "type", "json_schema")
            return _text_of(response_format.get("json_schema"))
        case _:
            raise _bad("'response_format.type' must be one of text, json_object, json_schema")


def _text_of(named: Any) -> str:
    where = "response_format.json_schema"
    if not isinstance(named, Mapping) or not isinstance(named.get("schema"), Mapping):
        raise _bad(f"'{where}' must be an object with 'schema', which is an object too")
    # With `strict` or without, an answer keeps to its schema here.
    _only(named, where, "schema", "name", "description", "strict")
    schema = named["schema"]
    if _too_deep(schema):
        text = f"'{where}.schema' is nested too deep; at most {SCHEMA_DEPTH_MAX} levels are allowed"
        raise _bad(text)
    whole = {name: v for name, v in schema.items() if name not in _ANNOTATIONS_OF_THE_WHOLE}
    try:
        text = json.dumps(whole, allow_nan=False)
    except ValueError:
        raise _bad(f"'{where}.schema' has a number that JSON does not") from None
    if len(text) > SCHEMA_BYTES_MAX:
        size = f"'{where}.schema' has {len(text)} bytes"
        raise _bad(f"{size}; at most {SCHEMA_BYTES_MAX} are allowed")
    _check_keywords(whole)
    return text


def _check_keywords(whole: Mapping[str, Any]) -> None:
    """Refuse what the engine would not keep to: an answer that breaks its schema is of no use."""
    places: list[SchemaPlace] = []
    references: list[tuple[SchemaPlace, str]] = []
    bounds: list[tuple[SchemaPlace, Bound]] = []
    waiting = [SchemaPlace(whole)]
    while waiting:
        place = waiting.pop()
        if isinstance(place.schema, bool):
            continue
        if not isinstance(place.schema, Mapping):
            raise _at(place, "must be an object, or true or false")
        places.append(place)
        for keyword, value in place.schema.items():
            waiting += _schemas_in(place, keyword, value)
            if keyword in _BOUNDS:
                bounds.append((place, Bound(keyword, value)))
            elif keyword == "$ref":
                references.append((place, _pointer(place, value)))
    targets = [(place, _target(whole, place, pointer)) for place, pointer in references]
    # Seldom are there any at all, and where they may meet takes longer to see.
    if near([bound for _place, bound in bounds]):
        _check_bounds(bounds, _meetings(places, targets))


def _check_bounds(bounds: list[tuple[SchemaPlace, Bound]], meetings: Meetings) -> None:
    """Refuse bounds that llguidance 1.9 does not keep to."""
    together: dict[int, list[tuple[SchemaPlace, Bound]]] = {}
    for place, bound in bounds:
        together.setdefault(meetings.of(id(place.schema)), []).append((place, bound))
    for met in together.values():
        wrong = near([bound for _place, bound in met])
        for place, bound in met:
            if bound in wrong:
                text = f"has '{bound.keyword}' {bound.number:g} less than one from another bound"
                raise _at(place, f"{text}, which is not supported by this version")


def _meetings(places: list[SchemaPlace], targets: list[tuple[SchemaPlace, Any]]) -> Meetings:
    """Find out which schemas may speak of one value."""
    meetings = Meetings()
    for place in places:
        if place.above is None:
            continue
        outer, inner, (keyword, *names) = id(place.above.schema), id(place.schema), place.steps
        if keyword in _OF_THE_SAME:
            meetings.join(outer, inner)
        elif keyword in ("properties", "prefixItems"):
            of = "member" if keyword == "properties" else "item"
            meetings.put(outer, (of, names[0]), inner)
        elif keyword in ("additionalProperties", "patternProperties", "items"):
            meetings.put(outer, ("item" if keyword == "items" else "member", None), inner)
    for place, target in targets:
        if isinstance(target, Mapping):
            meetings.join(id(place.schema), id(target))
    return meetings


def _schemas_in(place: SchemaPlace, keyword: str, value: Any) -> Iterator[SchemaPlace]:
    """The schemas that stand under one keyword."""
    if keyword in ONE_SCHEMA:
        yield SchemaPlace(value, place, (keyword,))
    elif keyword in LISTS_OF_SCHEMAS:
        if not isinstance(value, list):
            raise _at(place, f"has '{keyword}', which must be a list of schemas")
        yield from (SchemaPlace(item, place, (keyword, str(i))) for i, item in enumerate(value))
    elif keyword in SCHEMAS_BY_NAME:
        if not isinstance(value, Mapping):
            raise _at(place, f"has '{keyword}', which must be an object of schemas")
        yield from (SchemaPlace(item, place, (keyword, name)) for name, item in value.items())
    elif keyword in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _at(place, f"has '{keyword}', which must be a number")
    elif keyword not in _LEFT_ALONE:
        raise _at(place, f"has '{_short(keyword)}', which is not supported by this version")


def _pointer(place: SchemaPlace, reference: Any) -> str:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise _at(place, "has a '$ref' that is not within the schema: '#' or '#/…'")
    return unquote(reference)


def _target(whole: Mapping[str, Any], place: SchemaPlace, pointer: str) -> Any:
    target = find(whole, pointer)
    if target is None:
        raise _at(place, f"refers to '{_short(pointer)}', where there is no schema")
    return target


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(SCHEMA_DEPTH_MAX):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return False
    return True


def _inner(value: Any) -> list[Any]:
    """The objects and lists right in another."""
    items = value.values() if isinstance(value, Mapping) else value
    return [item for item in items if isinstance(item, Mapping | list)]


def _only(value: Mapping[str, Any], where: str, *names: str) -> None:
    for name in value:
        if name not in names:
            raise _bad(f"'{where}' has '{_short(name)}', which is not supported by this version")


def _short(text: str) -> str:
    return text if len(text) <= _SAID_CHARACTERS_MAX else text[:_SAID_CHARACTERS_MAX] + "…"


def _at(place: SchemaPlace, text: str) -> Problem:
    return _bad(f"'response_format': the schema at '{_short(str(place))}' {text}")


def _bad(text: str) -> Problem:
    return Problem(Code.BAD_REQUEST, text[0].upper() + text[1:] + ".")
