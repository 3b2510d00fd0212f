"""What an answer may be asked to be, and what is refused by its place."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.schema import ANY_OBJECT, SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, schema_of
from inglenook.common.errors import Code, Problem


def wanting(schema: Any, **more: Any) -> dict[str, Any]:
    """As OpenAI's clients send it."""
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}


def refusal(response_format: Any) -> str:
    with pytest.raises(Problem) as caught:
        schema_of(response_format)
    assert caught.value.code is Code.BAD_REQUEST
    assert caught.value.text.endswith(".")
    return caught.value.text


def nested(levels: int) -> dict[str, Any]:
    """So many objects in each other."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize("response_format", [None, {"type": "text"}])
def test_text_is_free(response_format: Any) -> None:
    """As if nothing had been said."""
    assert schema_of(response_format) is None


def test_json_object_is_any_object() -> None:
    """And a schema like any other."""
    assert schema_of({"type": "json_object"}) == ANY_OBJECT
    assert schema_of(wanting(json.loads(ANY_OBJECT))) == ANY_OBJECT


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a/b~": {"type": "string", "maxLength": 5}}},
        {"anyOf": [{"const": 1}, {"enum": ["a", None]}], "title": "T", "description": "D"},
        {"properties": {"pattern": {}, "not": {}, "$ref": {}}},  # names, not keywords
        {"enum": [{"not": 1}], "default": {"if": 2}, "examples": [{"$ref": "x"}]},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"items": {"$ref": "#"}}}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": True}},
        {"prefixItems": [{"minimum": 1, "multipleOf": 0.5}], "items": False},
        {"exclusiveMinimum": 0, "maximum": 1.5},
        {"exclusiveMinimum": 0.5, "exclusiveMaximum": 2},
        {"exclusiveMinimum": 10**400, "maximum": 0.5},
        {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
        {"properties": {"price": {"exclusiveMinimum": 0}, "share": {"maximum": 0.5}}},
        {"items": {"exclusiveMinimum": 0}, "maximum": 0.5},
        {"prefixItems": [{"exclusiveMinimum": 0}, {"maximum": 0.5}]},
        {"$defs": {"a": {"exclusiveMinimum": 0}, "b": {"maximum": 0.5}}},
        {
            "$ref": "#/properties/a/anyOf/1/items",
            "properties": {"a": {"anyOf": [{}, {"items": {}}]}},
        },
        nested(SCHEMA_DEPTH_MAX),
    ],
)
def test_a_schema_goes_on_as_it_came(schema: Any) -> None:
    """Word for word and in its order, which is the order of an object's members in the answer."""
    text = schema_of(wanting(schema, strict=True, description="d"))

    assert text is not None
    assert json.dumps(schema) == text


def test_names_of_the_whole_are_left_out() -> None:
    """A standard's edition or a name would have references mean something else."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:x", "items": {}}
    assert schema_of(wanting(whole)) == '{"items": {}}'
    assert "'#/items' has '$id'" in refusal(wanting({"items": {"$id": "urn:x"}}))


@pytest.mark.parametrize(
    ("response_format", "said"),
    [
        ("json", "'response_format'"),
        ([], "'response_format'"),
        ({}, "'response_format.type'"),
        ({"type": 5}, "'response_format.type'"),
        ({"type": "grammar"}, "'response_format.type'"),
        ({"type": "text", "schema": {}}, "has 'schema'"),
        ({"type": "json_object", "schema": {}}, "has 'schema'"),
        ({"type": "json_schema"}, "'response_format.json_schema'"),
        ({"type": "json_schema", "schema": {}}, "has 'schema'"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "with 'schema'"),
        ({"type": "json_schema", "json_schema": {"schema": True}}, "with 'schema'"),
        (wanting({}, lenient=True), "has 'lenient'"),
        (wanting({"maxLenght": 5}), "'#' has 'maxLenght'"),
        (wanting({"not": {}}), "'#' has 'not'"),
        (wanting({"x-guidance": {"lenient": True}}), "'#' has 'x-guidance'"),
        (wanting({"minProperties": 2}), "'#' has 'minProperties'"),
        (wanting({"properties": {"a/b": {"if": {}}}}), "'#/properties/a~1b' has 'if'"),
        (wanting({"anyOf": [{}, {"k": 1}]}), "'#/anyOf/1' has 'k'"),
        (wanting({"$defs": {"d": {"uniqueItems": True}}}), "'#/$defs/d' has 'uniqueItems'"),
        (wanting({"items": [{}]}), "'#/items' must be an object, or true or false"),
        (wanting({"properties": {"a": 5}}), "'#/properties/a' must be"),
        (wanting({"anyOf": {}}), "'anyOf', which must be a list"),
        (wanting({"properties": []}), "'properties', which must be an object"),
        (wanting({"type": "integer", "exclusiveMinimum": True}), "which must be a number"),
        (wanting({"exclusiveMinimum": 1, "maximum": 1.25}), "'exclusiveMinimum' 1 less than one"),
        (
            wanting({"allOf": [{"exclusiveMaximum": 0.0}, {"minimum": -0.5}]}),
            "'#/allOf/0' has 'exclusiveMaximum' 0 less",
        ),
        (
            wanting({"anyOf": [{"exclusiveMinimum": 1}, {"type": "null"}], "maximum": 1.5}),
            "'#/anyOf/0' has 'exclusiveMinimum' 1 less",
        ),
        (
            wanting({"$ref": "#/$defs/a", "maximum": 1.5, "$defs": {"a": {"exclusiveMinimum": 1}}}),
            "'#/$defs/a' has 'exclusiveMinimum' 1 less",
        ),
        (
            wanting(
                {
                    "allOf": [
                        {"properties": {"a": {"exclusiveMinimum": 1}}},
                        {"properties": {"a": {"maximum": 1.5}}},
                    ]
                }
            ),
            "'#/allOf/0/properties/a' has 'exclusiveMinimum' 1 less",
        ),
        (
            wanting(
                {
                    "properties": {"a": {"exclusiveMinimum": 1}},
                    "patternProperties": {"^a": {"maximum": 1.5}},
                }
            ),
            "'#/properties/a' has 'exclusiveMinimum' 1 less",
        ),
        (wanting({"minimum": "5"}), "'minimum', which must be a number"),
        (wanting({"minimum": float("inf")}), "a number that JSON does not"),
        (wanting({"const": float("nan")}), "a number that JSON does not"),
        (wanting({"$ref": "http://127.0.0.1/x.json"}), "'#' has a '$ref'"),
        (wanting({"$ref": "file:///etc/passwd"}), "'#' has a '$ref'"),
        (wanting({"$ref": "#name"}), "'#' has a '$ref'"),
        (wanting({"$ref": 5}), "'#' has a '$ref'"),
        (wanting({"items": {"$ref": "#/$defs/x"}}), "'#/items' refers to '#/$defs/x'"),
        (wanting({"$ref": "#/default", "default": {"not": {}}}), "refers to '#/default'"),
        (wanting({"$ref": "#/properties", "properties": {}}), "refers to '#/properties'"),
        (wanting({"$ref": "#/default", "default": True, "items": True}), "refers to '#/default'"),
        (wanting({"$ref": "#/anyOf", "anyOf": [{}]}), "refers to '#/anyOf'"),
        (wanting({"$ref": "#/anyOf/1", "anyOf": [{}]}), "refers to '#/anyOf/1'"),
        (wanting({"$ref": "#/anyOf/" + "9" * 9000, "anyOf": [{}]}), "refers to '#/anyOf/999"),
        (wanting({"$ref": "#/items/items", "items": True}), "refers to '#/items/items'"),
        (wanting(nested(SCHEMA_DEPTH_MAX + 1)), f"at most {SCHEMA_DEPTH_MAX} levels"),
        (wanting({"const": "x" * SCHEMA_BYTES_MAX}), f"at most {SCHEMA_BYTES_MAX}"),
        (wanting({"x" * 5000: 1}), "has 'xxx"),
    ],
)
def test_what_nobody_would_keep_to_is_refused_by_its_place(response_format: Any, said: str) -> None:
    """Leaving it out would make another schema of it."""
    text = refusal(response_format)

    assert said in text
    assert len(text) < 300


def test_nesting_without_end_is_no_trouble() -> None:
    """Deeper than Python's own stack, in keywords and in values."""
    for depth in (5_000, 100_000):
        value: Any = []
        for _ in range(depth):
            value = [value]
        assert "levels" in refusal(wanting({"const": value}))
    assert "levels" in refusal(wanting(nested(100_000)))


LONG_NAME = "n" * 20_000


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {LONG_NAME: {"anyOf": [{} for _ in range(10_000)]}}},
        {"$defs": {LONG_NAME: {"$ref": "#"}}, "anyOf": [{"$ref": "#"} for _ in range(2_000)]},
        {"allOf": [{"properties": {f"p{i}": {"exclusiveMinimum": 0}}} for i in range(500)],
         "patternProperties": {f"^p{i}": {"multipleOf": 1} for i in range(500)}, "maximum": 0.5},
    ],
    ids=["below a long name", "references", "bounds"],
)  # fmt: skip
def test_a_schema_costs_what_its_length_says(schema: Any) -> None:
    """It is looked at in the daemon, between everybody's frames."""
    tracemalloc.start()
    started_s = time.process_time()
    try:
        schema_of(wanting(schema))
        _now, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 16 * 2**20
    assert time.process_time() - started_s < 2.0


def test_what_is_too_long_is_not_looked_through() -> None:
    """Ten times as long as it may be, it is refused for that, and not for its keywords."""
    assert "bytes" in refusal(wanting({"anyOf": [{"not": {}} for _ in range(60_000)]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "anyOf", "items", "properties", "$ref", "$defs", "not", "minimum", "enum", "$id"]
)


@pytest.mark.slow
@given(schema=st.dictionaries(KEYWORDS, JSON | st.dictionaries(KEYWORDS, JSON)))
def test_no_json_at_all_does_more_than_be_refused(schema: dict[str, Any]) -> None:
    """Whatever comes in, what comes out is JSON text or a problem."""
    outcome: str | Problem | None
    try:
        outcome = schema_of(wanting(schema))
    except Problem as problem:
        outcome = problem
    match outcome:
        case Problem():
            assert outcome.code is Code.BAD_REQUEST
        case str():
            assert outcome.isascii()
            assert isinstance(json.loads(outcome), dict)
        case None:
            pytest.fail("it was left out")
