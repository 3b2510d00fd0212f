"""The grammar of a schema accepts what the schema means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llguidance import LLTokenizer

from inglenook.chat import schema as chat_schema
from inglenook.common import schema_walk
from inglenook.engine.worker.structured.grammar import compile_schema
from inglenook.engine.worker.structured.refusal import SchemaRefused

BYTES = LLTokenizer("byte")


def passes(schema: Any, text: str) -> bool:
    """Whether a text is a complete answer."""
    matcher = compile_schema(BYTES, json.dumps(schema))
    tokens = list(text.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


#: Every keyword that a request may use, with what keeps to it and what does not.
KEYWORDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("type", {"type": "integer"}, "5", '"5"'),
    ("const", {"const": [1, "a"]}, '[1,"a"]', '[1,"b"]'),
    ("enum", {"enum": ["\u00fc", 5]}, '"\u00fc"', '"u"'),
    ("required", {"type": "object", "required": ["a"]}, '{"a":1}', "{}"),
    ("properties", {"type": "object", "properties": {"a": {"const": 1}}}, '{"a":1}', '{"a":2}'),
    ("additionalProperties", {"type": "object", "additionalProperties": False}, "{}", '{"a":1}'),
    (
        "patternProperties",
        {"type": "object", "patternProperties": {"^n_": {"const": 1}}},
        '{"n_a":1}',
        '{"n_a":2}',
    ),
    ("maxProperties", {"type": "object", "maxProperties": 1}, '{"a":1}', '{"a":1,"b":1}'),
    ("items", {"type": "array", "items": {"const": 1}}, "[1,1]", "[1,2]"),
    ("prefixItems", {"type": "array", "prefixItems": [{"const": 1}]}, "[1]", "[2]"),
    ("minItems", {"type": "array", "minItems": 1}, "[1]", "[]"),
    ("maxItems", {"type": "array", "maxItems": 1}, "[1]", "[1,1]"),
    ("minLength", {"type": "string", "minLength": 2}, '"\U0001f525a"', '"\U0001f525"'),
    ("maxLength", {"type": "string", "maxLength": 2}, '"\U0001f525a"', '"abc"'),
    ("pattern", {"type": "string", "pattern": "b$"}, '"ab"', '"ba"'),
    ("format", {"type": "string", "format": "date"}, '"2026-11-22"', '"2026-13-22"'),
    ("minimum", {"type": "integer", "minimum": 10}, "10", "9"),
    ("maximum", {"type": "number", "maximum": 1.5}, "1.5", "1.6"),
    ("exclusiveMinimum", {"type": "integer", "exclusiveMinimum": 10}, "11", "10"),
    ("exclusiveMaximum", {"type": "integer", "exclusiveMaximum": 10}, "9", "10"),
    ("multipleOf", {"type": "integer", "multipleOf": 5}, "15", "16"),
    ("anyOf", {"anyOf": [{"const": 1}, {"const": 2}]}, "2", "3"),
    ("oneOf", {"oneOf": [{"type": "integer"}, {"type": "null"}]}, "null", '"a"'),
    ("allOf", {"allOf": [{"type": "integer"}, {"minimum": 5}]}, "5", "4"),
    ("$ref", {"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, "1", "2"),
    ("$defs", {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"const": 1}}}, "[1]", "[2]"),
    ("definitions", {"$ref": "#/definitions/a", "definitions": {"a": {"const": 1}}}, "1", "2"),
]


@pytest.mark.parametrize(("keyword", "schema", "good", "bad"), KEYWORDS)
def test_every_keyword_is_kept_to(
    keyword: str, schema: dict[str, Any], good: str, bad: str
) -> None:
    """The library honours each keyword that the request's check accepts."""
    assert chat_schema.schema_of(
        {"type": "json_schema", "json_schema": {"schema": schema}}
    ) == json.dumps(schema)
    assert keyword in json.dumps(schema)
    assert passes(schema, good)
    assert not passes(schema, bad)


def test_no_keyword_is_let_pass_that_is_not_in_the_table() -> None:
    """The list of the request's check and that of the library are the same."""
    known = {
        *chat_schema._VALUES,
        *chat_schema._COUNTS,
        *chat_schema._NUMBERS,
        *schema_walk.ONE_SCHEMA,
        *schema_walk.LISTS_OF_SCHEMAS,
        *schema_walk.SCHEMAS_BY_NAME,
        "$ref",
    }
    assert known == {keyword for keyword, *_ in KEYWORDS}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('{"a":1,"b":2}', True),
        ('{"a": 1, "b": 2}', True),
        ('{\n  "a": 1,\n  "b": 2\n}', True),
        ('{\n\t"a": 1,\n\t"b": 2\n}', True),
        ('{  "a":1}', False),
        ('{\n\n"a":1}', False),
        ("{\n" + " " * 25 + '"a":1}', False),
        (' {"a":1}', False),
        ('{"a":1} ', False),
        ('{"a":01}', False),
        ('{"a":1', False),
        ("{'a':1}", False),
        ('{"a":"\x01"}', False),
        ('{"a":"\\ud800"}', False),
        ('{"a":"\\n\\u0000\U0001f525"}', True),
    ],
)
def test_json_is_written_as_people_and_programs_write_it(text: str, good: bool) -> None:
    """But white space is bounded."""
    assert passes({"type": "object"}, text) == good


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ('{"type":"integer","minimum":5,"maximum":3}', "minimum (5) is greater than maximum (3)"),
        ('{"type":"string","pattern":"(?=x)y"}', "look-around"),
        ('{"type":"string","format":"nonsense"}', "Unknown format: nonsense"),
        ('{"type":"strin"}', "Invalid type: strin"),
        ('{"oneOf":[{"type":"integer"},{"type":"number"}]}', "oneOf"),
        ('{"minLength":"3"}', "minLength"),
        ('{"const":1e999}', "number"),
        ("{", "EOF"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_in_a_sentence(schema: str, why: str) -> None:
    """One line, without a full stop."""
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(BYTES, schema)

    assert why in caught.value.why
    assert "\n" not in caught.value.why
    assert not caught.value.why.endswith(".")
    assert str(caught.value) == caught.value.why


def test_a_quotation_of_the_schema_is_cut_short() -> None:
    """It may be the whole schema."""
    schema = json.dumps({"allOf": [{"type": "string", "pattern": "x" * 500}, {"const": "y"}]})
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(BYTES, schema)
    assert 0 < len(caught.value.why) <= 200
