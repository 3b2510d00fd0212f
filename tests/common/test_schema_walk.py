"""A pointer leads from schema to schema, or nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from inglenook.common.schema_walk import SchemaPlace, find

WHOLE: dict[str, Any] = {
    "properties": {"a/b~": {"title": "a"}, "": {"title": "empty"}},
    "anyOf": [{"title": "0"}, {"items": {"title": "1"}}],
    "items": True,
    "default": {"title": "no schema"},
}


@pytest.mark.parametrize(
    ("pointer", "title"),
    [
        ("#/properties/a~1b~0", "a"),
        ("#/properties/", "empty"),
        ("#/anyOf/0", "0"),
        ("#/anyOf/1/items", "1"),
    ],
)
def test_a_schema_is_found(pointer: str, title: str) -> None:
    """By its keywords, names and numbers; a name may hold a slash, or nothing."""
    assert find(WHOLE, pointer) == {"title": title}


def test_the_whole_and_true_are_schemas_as_well() -> None:
    """And what is true is not taken for anything else that is."""
    assert find(WHOLE, "#") is WHOLE
    assert find(WHOLE, "#/items") is True


@pytest.mark.parametrize(
    "pointer",
    [
        "#/default",
        "#/properties",
        "#/properties/b",
        "#/anyOf",
        "#/anyOf/2",
        "#/anyOf/00",
        "#/anyOf/-1",
        "#/anyOf/" + "9" * 9000,
        "#/items/items",
        "#/",
    ],
)
def test_where_no_schema_is_none_is_found(pointer: str) -> None:
    """Whatever else stands there."""
    assert find(WHOLE, pointer) is None


def test_a_place_is_spelled_as_a_pointer() -> None:
    """From the whole on."""
    outer = SchemaPlace({}, SchemaPlace({}), ("properties", "a/b~"))
    assert str(SchemaPlace({}, outer, ("anyOf", "1"))) == "#/properties/a~1b~0/anyOf/1"
