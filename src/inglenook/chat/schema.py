"""OpenAI's ``response_format``: which JSON an answer has to be, checked. Kind: rules.

What is checked here costs no more than reading it. Whether there is such JSON at all, and whether
an engine can keep to it, only the engine can say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from inglenook.errors import Code, Problem

#: Of the schema as JSON text, bytes. Hand-written ones have a few KiB.
SCHEMA_BYTES_MAX: Final = 64 * 1024

#: How deep objects and lists stand in each other, in the schema's own text.
SCHEMA_DEPTH_MAX: Final = 64

#: What ``json_object`` asks for.
ANY_OBJECT: Final = '{"type": "object"}'

_ONE_SCHEMA = ("items", "additionalProperties")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_EXCLUSIVE = ("exclusiveMinimum", "exclusiveMaximum")

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

#: Of names that somebody else chose, so much is said in a sentence.
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
    _check_keywords(whole)
    try:
        text = json.dumps(whole, allow_nan=False)
    except ValueError:
        raise _bad(f"'{where}.schema' has a number that JSON does not") from None
    if len(text) > SCHEMA_BYTES_MAX:
        size = f"'{where}.schema' has {len(text)} bytes"
        raise _bad(f"{size}; at most {SCHEMA_BYTES_MAX} are allowed")
    return text


def _check_keywords(whole: Mapping[str, Any]) -> None:
    """Refuse what nobody would keep to: an answer that breaks its schema helps nobody."""
    references: list[tuple[str, str]] = []
    numbers: list[tuple[str, str, Any]] = []
    places = set()
    waiting: list[tuple[str, Any]] = [("#", whole)]
    while waiting:
        place, schema = waiting.pop()
        places.add(place)
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, Mapping):
            raise _at(place, "must be an object, or true or false")
        for keyword, value in schema.items():
            waiting += _schemas_in(place, keyword, value)
            if keyword in _NUMBERS:
                numbers.append((place, keyword, value))
            elif keyword == "$ref":
                references.append((place, _pointer(place, value)))
    for place, pointer in references:
        if pointer not in places:
            raise _at(place, f"refers to '{_short(pointer)}', where there is no schema")
    _check_exclusive(numbers)


def _check_exclusive(numbers: list[tuple[str, str, Any]]) -> None:
    """Refuse bounds that llguidance 1.9 does not keep to.

    Between a whole number that is excluded and a fraction less than one away, it lets the whole
    number pass. Bounds of several schemas may come together, so all are looked at as one.
    """
    fractions = [number for *_where, number in numbers if isinstance(number, float) and number % 1]
    below = {math.floor(fraction) for fraction in fractions if math.isfinite(fraction)}
    for place, keyword, number in numbers:
        if keyword in _EXCLUSIVE and not number % 1 and {number - 1, number} & below:
            text = f"has '{keyword}' {number:g} less than one from another bound, which is not"
            raise _at(place, f"{text} supported by this version")


def _schemas_in(place: str, keyword: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The schemas that stand under one keyword, with their places."""
    below = f"{place}/{_escaped(keyword)}"
    if keyword in _ONE_SCHEMA:
        yield below, value
    elif keyword in _LISTS_OF_SCHEMAS:
        if not isinstance(value, list):
            raise _at(place, f"has '{keyword}', which must be a list of schemas")
        yield from ((f"{below}/{index}", item) for index, item in enumerate(value))
    elif keyword in _SCHEMAS_BY_NAME:
        if not isinstance(value, Mapping):
            raise _at(place, f"has '{keyword}', which must be an object of schemas")
        yield from ((f"{below}/{_escaped(name)}", item) for name, item in value.items())
    elif keyword in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _at(place, f"has '{keyword}', which must be a number")
    elif keyword not in _LEFT_ALONE:
        raise _at(place, f"has '{_short(keyword)}', which is not supported by this version")


def _pointer(place: str, reference: Any) -> str:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise _at(place, "has a '$ref' that is not within the schema: '#' or '#/…'")
    return unquote(reference)


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


def _escaped(name: str) -> str:
    """A name as a step of a JSON pointer, RFC 6901."""
    return name.replace("~", "~0").replace("/", "~1")


def _short(text: str) -> str:
    return text if len(text) <= _SAID_CHARACTERS_MAX else text[:_SAID_CHARACTERS_MAX] + "…"


def _at(place: str, text: str) -> Problem:
    return _bad(f"'response_format': the schema at '{_short(place)}' {text}")


def _bad(text: str) -> Problem:
    return Problem(Code.BAD_REQUEST, text[0].upper() + text[1:] + ".")
