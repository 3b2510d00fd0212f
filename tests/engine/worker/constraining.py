"""Answers with a schema, of any model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import jsonschema

from inglenook.engine.events import JobStarted, StepDone
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.structured.grammar import compile_schema
from inglenook.engine.worker.structured.grammar_state import GrammarState
from inglenook.engine.worker.structured.vocabulary import TokenTrie
from tests.engine.worker.writing import Answer, Writer, order, parser_of, sampling

_NAME = {"type": "string", "minLength": 1, "maxLength": 8}

#: A name, what it asks for; small enough for a model that chooses at random to come to an end.
SCHEMAS: dict[str, dict[str, Any]] = {
    "object": {
        "type": "object",
        "properties": {"name": _NAME, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {
            "place": {
                "type": "object",
                "properties": {"city": _NAME, "open": {"type": "boolean"}},
                "required": ["city"],
                "additionalProperties": False,
            },
            "note": {"type": ["string", "null"], "maxLength": 5},
        },
        "required": ["place"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["red", "gr\u00fcn", "\u9752", 7, None, {"a": [1]}]},
    "integer": {"type": "integer", "minimum": -7, "maximum": 1234},
    "exclusive": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3},
    "list": {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 9},
        "minItems": 2,
        "maxItems": 4,
    },
    "const": {
        "type": "object",
        "properties": {"kind": {"const": "caf\u00e9"}},
        "required": ["kind"],
        "additionalProperties": False,
    },
    "anyOf": {
        "anyOf": [
            {"type": "boolean"},
            {"type": "string", "maxLength": 6},
            {"type": "array", "maxItems": 0},
        ]
    },
    "string": {"type": "string", "minLength": 3, "maxLength": 10},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "reference": {
        "$ref": "#/$defs/pair",
        "$defs": {
            "pair": {
                "type": "array",
                "prefixItems": [_NAME, {"$ref": "#/$defs/sign"}],
                "items": False,
                "minItems": 2,
            },
            "sign": {"enum": ["+", "-"]},
        },
    },
}


@cache
def vocabulary_of(model: Model) -> TokenTrie:
    """The model's trie, built at once."""
    vocabulary = TokenTrie(model)
    for _part in vocabulary.parts():
        pass
    return vocabulary


def grammar_of(model: Model, schema: Any, *, thinking: bool = False) -> GrammarState:
    """A fresh state."""
    vocabulary = vocabulary_of(model)
    matcher = compile_schema(vocabulary.tokenizer, json.dumps(schema))
    thoughts = ThinkFormat(model, "")
    return GrammarState(
        model, vocabulary, matcher, thoughts, parser_of(thoughts, thinking=thinking)
    )


def submit(
    writer: Writer,
    job: int,
    schema: Any,
    prompt: Sequence[int],
    *,
    max_tokens: int = 600,
    temperature: float = 1.0,
    produced: Sequence[int] = (),
    thinking: bool = False,
) -> None:
    """Submit a job with a schema; its number is the seed."""
    how = sampling(temperature=temperature, seed=job)
    start = order(job, max_tokens, how=how, ignore_eos=False, produced=produced)
    grammar = grammar_of(writer.batcher._model, schema, thinking=thinking)
    parser = parser_of(writer.batcher._thoughts, thinking=thinking)
    started, *more = writer.batcher.submit(start, list(prompt), parser, grammar=grammar)
    assert isinstance(started, JobStarted)
    writer.answers[job] = Answer()
    for event in more:
        assert isinstance(event, StepDone)
        writer.answers[job].take(event.outputs[0])


def keeps_to(text: str, schema: Any) -> bool:
    """Whether a text is valid JSON by the schema, checked by another library."""
    try:
        jsonschema.validate(json.loads(text), schema)
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False
    return True
