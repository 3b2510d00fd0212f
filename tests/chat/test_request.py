"""What a request may say, and what it hears if it says something else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.messages import MESSAGES_MAX, Message
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.chat.schema import ANY_OBJECT
from inglenook.common.errors import Code, Problem

HI = [{"role": "user", "content": "Hi"}]


def refusal(body: Any) -> str:
    with pytest.raises(Problem) as caught:
        parse_chat_request(body)
    assert caught.value.code is Code.BAD_REQUEST
    text = caught.value.text
    assert text[0] == "'" or text[0].isupper()
    assert text.endswith(".")
    assert len(text) < 200
    return text


def test_the_smallest_request_leaves_every_choice_to_the_model() -> None:
    """One message is enough."""
    assert parse_chat_request({"messages": HI}) == ChatRequest((Message("user", "Hi"),))


def test_every_field_is_taken() -> None:
    """What OpenAI's clients and llama.cpp's name, under the names they use."""
    request = parse_chat_request(
        {
            "messages": [{"role": "developer", "content": "Be brief."}, *HI],
            "model": "m",
            "max_tokens": 7,
            "temperature": 0,
            "top_p": 0.9,
            "top_k": 5,
            "min_p": 0.1,
            "repeat_penalty": 1.1,
            "presence_penalty": -1,
            "frequency_penalty": 2,
            "seed": 2**32 - 1,
            "stop": "END",
            "ignore_eos": True,
        }
    )

    assert request == ChatRequest(
        messages=(Message("system", "Be brief."), Message("user", "Hi")),
        model="m",
        max_tokens=7,
        temperature=0.0,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        repeat_penalty=1.1,
        presence_penalty=-1.0,
        frequency_penalty=2.0,
        seed=2**32 - 1,
        stop=("END",),
        ignore_eos=True,
        repetition_detection=False,
    )


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_completion_tokens": 5}, 5),
        ({"max_completion_tokens": 5, "max_tokens": 9}, 5),
        ({"max_completion_tokens": None, "max_tokens": 9}, 9),
        ({"max_tokens": None}, None),
    ],
)
def test_openais_newer_name_of_the_limit_counts_first(
    fields: dict[str, Any], max_tokens: int | None
) -> None:
    """Clients send either, and some send both."""
    assert parse_chat_request({"messages": HI, **fields}).max_tokens == max_tokens


def test_text_parts_are_joined() -> None:
    """OpenAI's clients may send content as a list of parts."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    request = parse_chat_request({"messages": [{"role": "user", "content": parts}]})

    assert request.messages[0].text == "ab"


@pytest.mark.parametrize(
    "last", [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": " "}]
)
def test_a_question_that_is_not_asked_yet_may_be_missing(last: dict[str, Any]) -> None:
    """A conversation just opened ends with its last answer; it cannot be answered."""
    body = {"messages": [*HI, last]}

    assert parse_chat_request(body, asked=False).messages[-1].content == last["content"]
    refusal(body)


def test_what_is_wrong_is_wrong_before_it_is_asked_too() -> None:
    """All other rules are the same."""
    with pytest.raises(Problem, match="'max_tokens'"):
        parse_chat_request({"messages": HI, "max_tokens": 0}, asked=False)


def test_unknown_fields_and_empty_tools_are_let_pass() -> None:
    """New clients send new fields; an empty list of tools asks for none."""
    body = {"messages": HI, "tools": [], "stream": True, "user": "x", "n": 1, "stop": None}

    assert parse_chat_request(body) == ChatRequest((Message("user", "Hi"),))


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        {},
        "Hi",
        [None],
        ["Hi"],
        [{}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n\t"}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": ["Hi"]}],
        [{"role": "User", "content": "Hi"}],
        [{"role": "tool", "content": "Hi"}],
        [{"role": ["user"], "content": "Hi"}],
        [{"role": None, "content": "Hi"}],
        [*HI, {"role": "assistant", "content": "Hello."}],
        [{"role": "system", "content": "Be brief."}],
        HI * (MESSAGES_MAX + 1),
    ],
)
def test_a_conversation_must_be_one_and_end_with_a_question(messages: Any) -> None:
    """Anything else is refused with the place named."""
    assert "message" in refusal({"messages": messages}).lower()


@pytest.mark.parametrize("number", ["1", None, True, [1], {}, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["temperature", "top_p", "min_p", "repeat_penalty", "max_tokens", "top_k", "seed"]
)
def test_numbers_must_be_numbers(name: str, number: Any) -> None:
    """Text, booleans and what is no number at all are refused; null leaves the choice open."""
    if number is None:
        assert parse_chat_request({"messages": HI, name: None}) == ChatRequest(
            (Message("user", "Hi"),)
        )
    else:
        assert f"'{name}'" in refusal({"messages": HI, name: number})


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("temperature", -0.1),
        ("temperature", 5.1),
        ("temperature", 10**400),
        ("top_p", 1.01),
        ("top_p", -(10**400)),
        ("min_p", -1),
        ("repeat_penalty", 0),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("max_tokens", 10**400),
        ("max_tokens", 1.5),
        ("top_k", -1),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_numbers_have_bounds(name: str, number: float) -> None:
    """However large, a number is answered with the range it should be in."""
    text = refusal({"messages": HI, name: number})

    assert text.startswith(f"'{name}' must be ")
    assert " from " in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 5),
        ("repetition_detection", "no"),
        ("repetition_detection", {"max_pattern_size": 8, "min_count": 4}),
        ("ignore_eos", "yes"),
        ("ignore_eos", 1),
        ("stop", 5),
        ("stop", [5]),
        ("stop", [""]),
        ("stop", ["x" * 257]),
        ("stop", ["x"] * 17),
        ("tools", [{"type": "function"}]),
        ("functions", [{}]),
        ("logit_bias", {"5": 1}),
        ("response_format", "json"),
        ("n", 2),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(field: str, value: Any) -> None:
    """An answer to another question than the one asked helps nobody."""
    assert f"'{field}'" in refusal({"messages": HI, field: value})


def test_json_is_asked_for_by_a_schema() -> None:
    """Free without, and as `schema_of` reads it with."""
    assert parse_chat_request({"messages": HI}).schema is None
    wanted = parse_chat_request({"messages": HI, "response_format": {"type": "json_object"}})
    assert wanted.schema == ANY_OBJECT


def test_json_ends_where_it_is_whole() -> None:
    """To go on past its end would make something else of it."""
    body = {"messages": HI, "response_format": {"type": "json_object"}, "ignore_eos": True}
    assert "'ignore_eos'" in refusal(body)
    assert parse_chat_request({**body, "response_format": {"type": "text"}}).ignore_eos


@pytest.mark.parametrize("body", [None, [], "Hi", 5, True])
def test_a_body_must_be_an_object(body: Any) -> None:
    """JSON is more than objects."""
    assert "'messages'" in refusal(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
KNOWN = st.sampled_from([*ChatRequest.__dataclass_fields__, "n", "tools", "response_format"])


@pytest.mark.slow
@given(body=JSON | st.dictionaries(KNOWN, JSON), messages=st.none() | JSON)
def test_no_json_at_all_does_more_than_be_refused(body: Any, messages: Any) -> None:
    """Whatever comes in, what comes out is a request or a problem."""
    if isinstance(body, dict) and messages is None:
        body = {**body, "messages": HI}
    try:
        outcome: ChatRequest | Problem = parse_chat_request(body)
    except Problem as problem:
        outcome = problem

    match outcome:
        case ChatRequest():
            assert outcome.messages
        case Problem():
            assert outcome.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("said", "ignore_eos", "expected"),
    [
        (None, False, True),
        (True, False, True),
        (False, False, False),
        (None, True, False),
        (True, True, True),
    ],
)
def test_repetitions_end_an_answer_unless_they_are_wanted(
    said: bool | None, ignore_eos: bool, expected: bool
) -> None:
    """Who goes on past the model's end wants so many tokens, whatever they say."""
    body = {"messages": HI, "repetition_detection": said, "ignore_eos": ignore_eos}

    assert parse_chat_request(body).repetition_detection is expected
