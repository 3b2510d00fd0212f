"""A conversation's messages: text in parts, calls of tools and what they gave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.messages import (
    CALL_ID_CHARACTERS_MAX,
    TOOL_CALLS_MAX,
    Message,
    TextPart,
    ToolCall,
    parse_messages,
)
from inglenook.common.errors import Code, Problem

HI = {"role": "user", "content": "Hi"}


def call(call_id: str = "c1", **function: Any) -> dict[str, Any]:
    """A call in OpenAI's form."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "clock", "arguments": '{"zone": "UTC"}', **function},
    }


def calling(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: str = "c1", content: Any = "12:00") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def parsed(*messages: Any, asked: bool = True) -> tuple[Message, ...]:
    return parse_messages(list(messages), asked=asked, tools=True)


def refusal(*messages: Any, tools: bool = True) -> str:
    with pytest.raises(Problem) as problem:
        parse_messages(list(messages), asked=True, tools=tools)
    assert problem.value.code is Code.BAD_REQUEST
    return problem.value.text


def test_parts_are_kept_apart_and_read_as_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    [message] = parsed({"role": "user", "content": parts})

    assert message.content == (TextPart("a"), TextPart("b"))
    assert message.text == "ab"


def test_calls_and_their_results_are_taken_in_any_order() -> None:
    """The last message may be a result: the model is to go on with it."""
    messages = parsed(
        HI, calling(call("c1"), call("c2", name="dice", arguments="{}")), result("c2"), result("c1")
    )

    assert messages[1] == Message(
        "assistant",
        "",
        (ToolCall("c1", "clock", '{"zone": "UTC"}'), ToolCall("c2", "dice", "{}")),
    )
    assert [message.tool_call_id for message in messages] == ["", "", "c2", "c1"]
    assert messages[3].text == "12:00"


def test_a_call_may_have_words_before_it_and_an_answer_after() -> None:
    messages = parsed(HI, calling(call(), content="Let me see."), result(), HI)

    assert messages[1].text == "Let me see."
    assert len(messages[1].tool_calls) == 1


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([HI, result()], "'messages[1].tool_call_id'"),
        ([HI, calling(call()), result("c2")], "'messages[2].tool_call_id'"),
        ([HI, calling(call()), result(), result()], "'messages[3].tool_call_id'"),
        ([HI, calling(call()), HI], "'messages[2]' comes before the result of the call 'c1'"),
        ([HI, calling(call())], "the call 'c1'"),
        ([HI, calling(call("c1"), call("c2")), result("c1")], "the call 'c2'"),
        ([HI, calling(call(), call()), result()], "two calls with one 'id'"),
        ([HI, calling(call("")), result("")], "$[0].id"),
        ([HI, calling(call("x" * (CALL_ID_CHARACTERS_MAX + 1)))], "$[0].id"),
        ([HI, calling(call(name=""))], "$[0].function.name"),
        ([HI, calling(call(name="a b"))], "$[0].function.name"),
        ([HI, calling(call(name="a\n"))], "$[0].function.name"),
        ([HI, calling(call(name=5))], "$[0].function.name"),
        ([HI, calling(call(arguments="{"))], "'messages[1].tool_calls'"),
        ([HI, calling(call(arguments="[]"))], "'messages[1].tool_calls'"),
        ([HI, calling(call(arguments={}))], "$[0].function.arguments"),
        ([HI, calling(call(arguments='{"a": "\ud800"}'))], "'messages[1].tool_calls'"),
        ([HI, calling({"id": "c1"})], "$[0]"),
        ([HI, calling({**call(), "type": "custom"})], "$[0].type"),
        ([HI, {**calling(), "tool_calls": "c1"}], "'messages[1].tool_calls'"),
        ([HI, calling(*(call(str(n)) for n in range(TOOL_CALLS_MAX + 1)))], str(TOOL_CALLS_MAX)),
        ([HI, calling(call()), result(content=None)], "'messages[2].content'"),
        ([HI, {"role": "tool", "content": "12:00"}], "'messages[1].tool_call_id'"),
        ([HI, {"role": "assistant", "content": "Hello."}], "'user'"),
    ],
)
def test_what_is_no_call_or_no_result_of_one_is_named(messages: list[Any], says: str) -> None:
    text = refusal(*messages)

    assert says.lower() in text.lower()


def test_a_conversation_that_is_not_asked_yet_may_end_with_a_call() -> None:
    """Its result is on its way."""
    assert parsed(HI, calling(call()), asked=False)[-1].tool_calls


def test_an_engine_without_tools_gets_none_of_them() -> None:
    """A result is refused, and so is a call without words."""
    assert "'messages[2].role'" in refusal(
        HI, calling(call(), content="Let me see."), result(), tools=False
    )
    assert "'messages[1].content'" in refusal(HI, calling(call()), HI, tools=False)
    [_hi, answer, _again] = parse_messages(
        [HI, calling(call(), content="Hello."), HI], asked=True, tools=False
    )
    assert answer == Message("assistant", "Hello.")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
PIECES = st.sampled_from([HI, calling(call()), result(), call(), call()["function"]])


@given(st.lists(PIECES | ANY, max_size=4), st.booleans(), st.data())
def test_whatever_comes_it_is_messages_or_a_problem(
    messages: list[Any], asked: bool, data: st.DataObject
) -> None:
    """One value of one message is replaced by any other."""
    damaged: list[Any] = json.loads(json.dumps(messages))
    targets = [message for message in damaged if isinstance(message, dict) and message]
    if targets:
        target = data.draw(st.sampled_from(targets))
        target[data.draw(st.sampled_from(sorted(target)))] = data.draw(ANY)
    try:
        outcome: tuple[Message, ...] | Code = parse_messages(damaged, asked=asked, tools=True)
    except Problem as problem:
        outcome = problem.code

    assert outcome is Code.BAD_REQUEST or len(outcome) == len(damaged)
