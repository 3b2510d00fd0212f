"""A phone asks for JSON and gets it: through the whole program, and through deaths."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import jsonschema

from tests.parts.box import Box
from tests.parts.phone import Answer, Message, chat, connected

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "likes": {
            "type": "array",
            "items": {"enum": ["tea", "caf\u00e9", "\u6c34"]},
            "minItems": 1,
            "maxItems": 3,
        },
        "home": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"city": {"type": "string", "maxLength": 12}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            ]
        },
    },
    "required": ["name", "age", "likes", "home"],
    "additionalProperties": False,
}

#: Some 300 tokens: an engine has time to die in the middle.
LONG = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 9},
    "minItems": 120,
    "maxItems": 120,
}


def asking(schema: Any, **fields: Any) -> Message:
    """A question whose answer has to keep to a schema."""
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    question = "Describe a person as JSON."
    return chat(question, response_format=response_format, max_tokens=900, **fields)


def check(answer: Answer, schema: Any) -> None:
    """It ended by itself and is what was asked for."""
    assert answer.error is None
    assert answer.done is not None
    assert (answer.done["status"], answer.done["finish_reason"]) == ("completed", "stop")
    jsonschema.validate(json.loads(answer.text), schema)


def is_person(text: str) -> bool:
    """Whether a text is one."""
    try:
        jsonschema.validate(json.loads(text), PERSON)
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False
    return True


async def test_every_answer_keeps_to_its_schema(box: Box, token: str) -> None:
    """Eight seeds at temperature 1, all at once; without a schema, none does."""
    async with connected(box.url, token) as phone:
        answers = [
            await phone.generate(asking(PERSON, temperature=1, seed=seed)) for seed in range(8)
        ]
        await phone.finish(*answers)
        for answer in answers:
            check(answer, PERSON)
        free = await phone.ask(chat("Describe a person as JSON.", temperature=1, max_tokens=60))
    assert not is_person(free.text)


async def test_any_object_is_an_object(box: Box, token: str) -> None:
    """Whatever the question."""
    body = chat("Hello", temperature=1, seed=1, max_tokens=5)
    async with connected(box.url, token) as phone:
        json_text = await phone.ask(body | {"response_format": {"type": "json_object"}})
        free_text = await phone.ask(body | {"response_format": {"type": "text"}})
    assert json_text.text.startswith("{")
    assert not free_text.text.startswith("{")


async def test_json_is_cut_short_by_its_tokens_as_any_answer(box: Box, token: str) -> None:
    """What there is is how it would have begun, and the end says so."""
    async with connected(box.url, token) as phone:
        cut = await phone.ask(asking(PERSON) | {"max_tokens": 3})
    assert cut.text.startswith("{")
    assert cut.done is not None
    assert (cut.done["status"], cut.done["finish_reason"]) == ("incomplete", "length")


async def test_what_cannot_be_kept_to_is_refused_by_its_place(box: Box, token: str) -> None:
    """At once where a look is enough; by the response where it has to be tried."""
    async with connected(box.url, token) as phone:
        seen = await phone.ask(asking({"properties": {"a": {"not": {}}}}))
        fetched = await phone.ask(asking({"$ref": f"{box.url}/schema.json"}))
        tried = await phone.ask(asking({"anyOf": [{"type": "string", "pattern": "(?=x)"}]}))
        slow = await phone.ask(asking({"type": "integer", "multipleOf": 1_000_003}))
        good = await phone.ask(asking({"const": 5}))
    for answer, place in ((seen, "'#/properties/a'"), (fetched, "'#' has a '$ref'")):
        assert answer.error is not None
        assert answer.error["code"] == "bad_request"
        assert place in answer.error["message"]
    for answer, words in ((tried, "'#/anyOf/0'"), (slow, "too much time or memory")):
        assert answer.done is not None
        assert answer.done["status"] == "failed"
        assert answer.done["error"]["code"] == "bad_request"
        assert words in answer.done["error"]["message"]
    check(good, {"const": 5})


async def test_an_engine_that_dies_in_the_middle_costs_a_pause_and_no_bracket(
    fresh_box: Box,
) -> None:
    """The answer goes on where it was, and is whole in the end."""
    async with connected(fresh_box.url, fresh_box.pair("Ada")) as phone:
        answer = await phone.begin(asking(LONG, temperature=1, seed=1))
        engine = fresh_box.engine_pid()
        os.kill(engine, signal.SIGKILL)
        await phone.finish(answer)
    check(answer, LONG)
    fresh_box.wait(lambda: fresh_box.engine_pid() != engine, "the engine did not die", 20.0)


async def test_a_daemon_that_is_killed_goes_on_with_the_schema(fresh_box: Box) -> None:
    """It stands in the journal."""
    token = fresh_box.pair("Ben")
    async with connected(fresh_box.url, token) as phone:
        answer = await phone.begin(asking(LONG, temperature=1, seed=2), deltas=2)
    await asyncio.to_thread(fresh_box.kill)
    await asyncio.to_thread(fresh_box.start)
    await asyncio.to_thread(fresh_box.wait_ready)
    async with connected(fresh_box.url, token) as phone:
        await phone.resume(answer)
        await phone.finish(answer)
    check(answer, LONG)
