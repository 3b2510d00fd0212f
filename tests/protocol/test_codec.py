"""Frames are read within limits, and whatever else comes is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.common.errors import Code, Problem
from inglenook.protocol.codec import ID_CHARACTERS_MAX, BadMessage, decode, encode, id_of
from inglenook.protocol.messages import (
    Auth,
    Cancel,
    Client,
    Delta,
    Done,
    Error,
    ErrorBody,
    FromPhone,
    Generate,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Queued,
    Resume,
    Timings,
    Usage,
)
from inglenook.protocol.values import NESTING_MAX


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"type":"auth","token":"t"}', Auth("t")),
        (
            '{"type":"auth","token":"t","client":{"name":"n","version":"1"}}',
            Auth("t", Client("n", "1")),
        ),
        ('{"type":"generate","id":"c1","request":{"a":[1]}}', Generate("c1", {"a": [1]})),
        (
            '{"type":"generate","id":"c1","request":{},"idempotency_key":"k"}',
            Generate("c1", {}, "k"),
        ),
        ('{"type":"prepare","id":"p1","request":{"a":[1]}}', Prepare("p1", {"a": [1]})),
        ('{"type":"cancel","response_id":"r_1"}', Cancel("r_1")),
        ('{"type":"resume","response_id":"r_1","after":7}', Resume("r_1", 7)),
        ('{"type":"resume","response_id":"r_1"}', Resume("r_1", 0)),
        ('{"type":"ping","t":1.5}', Ping(1.5)),
        ('{"type":"ping"}', Ping()),
        ('{"type":"ping","t":"now","later":"field"}', Ping("now")),
    ],
)
def test_every_message_of_the_contract_is_read(frame: str, message: FromPhone) -> None:
    """Fields of a later version are let pass."""
    assert decode(frame) == message


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "hello",
        "null",
        "1",
        '"generate"',
        "[]",
        '[{"type":"ping"}]',
        '{"type":"ping"',
        '{"type":"ping"} {"type":"ping"}',
        "{'type':'ping'}",
        '{"type":"ping","t":01}',
        '{"type":"ping","t":"a\nb"}',
        '{"type":"ping","t":"\\ud8"}',
        '{"type":"ping","t":1e400',
        "1e400",
        '"\\ud800"',
        '["\\ud800"]',
        "NaN",
        "\ufeff{}",
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
    ],
)
def test_what_is_no_json_object_does_not_speak_the_protocol(frame: str) -> None:
    """However deep, long or broken it is."""
    with pytest.raises(BadMessage) as caught:
        decode(frame)

    assert caught.value.code is Code.BAD_REQUEST
    assert id_of(frame) is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("{}", "'type' must be one of auth, cancel"),
        ('{"type":null}', "'type' must be one of"),
        ('{"type":7}', "'type' must be one of"),
        ('{"type":["auth"]}', "'type' must be one of"),
        ('{"type":"GENERATE"}', "'type' must be one of"),
        ('{"type":"response.done"}', "'type' must be one of"),
        ('{"type":"auth"}', "In 'auth': Object missing required field `token`"),
        ('{"type":"auth","token":5}', "Expected `str`, got `int` - at `$.token`"),
        ('{"type":"auth","token":"t","client":"x"}', "at `$.client`"),
        ('{"type":"generate","id":"c"}', "missing required field `request`"),
        ('{"type":"generate","request":{}}', "missing required field `id`"),
        ('{"type":"generate","id":1,"request":{}}', "at `$.id`"),
        ('{"type":"generate","id":"","request":{}}', "'id' must have 1 to 128 characters"),
        ('{"type":"generate","id":"%s","request":{}}' % ("x" * 129), "'id' must have 1 to 128"),
        ('{"type":"generate","id":"c","request":[]}', "at `$.request`"),
        ('{"type":"generate","id":"c","request":{},"idempotency_key":""}', "'idempotency_key'"),
        ('{"type":"prepare","id":"p"}', "In 'prepare': Object missing required field `request`"),
        ('{"type":"prepare","id":"","request":{}}', "'id' must have 1 to 128 characters"),
        ('{"type":"cancel"}', "missing required field `response_id`"),
        ('{"type":"cancel","response_id":""}', "'response_id' must have"),
        ('{"type":"resume","response_id":"r","after":"7"}', "at `$.after`"),
        ('{"type":"resume","response_id":"r","after":7.5}', "at `$.after`"),
        ('{"type":"ping","t":{}}', "at `$.t`"),
        ('{"type":"ping","t":"%s"}' % ("x" * 129), "at `$.t`"),
    ],
)
def test_a_wrong_message_hears_which_field_is_wrong(frame: str, words: str) -> None:
    """One bad message of a good phone costs it nothing but that message."""
    with pytest.raises(Problem) as caught:
        decode(frame)

    assert not isinstance(caught.value, BadMessage)
    assert caught.value.code is Code.BAD_REQUEST
    assert words in caught.value.text
    assert caught.value.text.endswith(".")


HALF, LONG, DEEP = '"\\ud83d"', "1" + "0" * 5000, "[" * 300 + "]" * 300

#: Values that JSON can write and this protocol cannot take, and what is said about each.
BAD_VALUES = {
    HALF: "Half of a surrogate pair in a text",
    '"\\ude00\\ud83d"': "Half of a surrogate pair in a text",
    '{"\\ud83d":1}': "Half of a surrogate pair in a name",
    "1e400": "Number out of range",
    "-1e400": "Number out of range",
    LONG: "Number out of range",
    "-" + LONG: "Number out of range",
    "NaN": "NaN is no JSON number",
    "-Infinity": "-Infinity is no JSON number",
    DEEP: "More than 256 objects and arrays within each other",
    "[" * 100_000 + "]" * 100_000: "More than 256 objects and arrays within each other",
}

NAMES = [
    *("half", "two halves", "half in a name", "large", "small", "long", "long and small"),
    *("nan", "infinite", "deep", "too deep to read"),
]

#: Every field of every message, and where else in a request a value may stand.
PLACES = [
    ('{"type":"auth","token":%s}', "$.token"),
    ('{"type":"auth","token":"t","client":%s}', "$.client"),
    ('{"type":"generate","id":%s,"request":{}}', "$.id"),
    ('{"type":"generate","id":"c","request":%s}', "$.request"),
    ('{"type":"generate","id":"c","request":{},"idempotency_key":%s}', "$.idempotency_key"),
    ('{"type":"generate","id":"c","request":{"stop":[1,%s]}}', "$.request.stop[1]"),
    ('{"type":"generate","id":"c","request":{"a b":{"seed":%s}}}', "$.request[...].seed"),
    (
        '{"type":"generate","id":"c","request":{"messages":[{"role":%s,"content":""}]}}',
        "$.request.messages[0].role",
    ),
    ('{"type":"prepare","id":%s,"request":{}}', "$.id"),
    ('{"type":"prepare","id":"p","request":{"model":%s}}', "$.request.model"),
    ('{"type":"cancel","response_id":%s}', "$.response_id"),
    ('{"type":"resume","response_id":%s}', "$.response_id"),
    ('{"type":"resume","response_id":"r","after":%s}', "$.after"),
    ('{"type":"ping","t":%s}', "$.t"),
]


@pytest.mark.parametrize(("frame", "place"), PLACES)
@pytest.mark.parametrize("value", BAD_VALUES, ids=NAMES)
def test_a_value_that_cannot_be_taken_costs_one_message_only(
    frame: str, place: str, value: str
) -> None:
    """Wherever it stands, it is named with its place, unless nobody can read past it."""
    with pytest.raises(Problem) as caught:
        decode(frame % value)

    assert not isinstance(caught.value, BadMessage)
    assert caught.value.code is Code.BAD_REQUEST
    assert BAD_VALUES[value] in caught.value.text
    assert caught.value.text.isprintable()
    assert f"- at `{place}" in caught.value.text or value.startswith("[")


@pytest.mark.parametrize("value", BAD_VALUES, ids=NAMES)
@pytest.mark.parametrize("kind", ["generate", "prepare"])
def test_the_error_about_such_a_value_names_its_request(kind: str, value: str) -> None:
    """Also where reading stops at the value, as the id comes before it."""
    assert id_of(f'{{"type":"{kind}","id":"c1","request":{{"x":{value}}}}}') == "c1"


@pytest.mark.parametrize(
    "frame", ['{"id":%s}', '{"x":%s', "%s", '[{"id":"c"},%s]', '{1:2,"id":%s}']
)
@pytest.mark.parametrize("value", BAD_VALUES, ids=NAMES)
def test_no_id_is_made_up(frame: str, value: str) -> None:
    """What is no good as an id is not sent back."""
    assert id_of(frame % value) is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            '{"type":"generate","id":"c","request":{"messages":[{"role":"user","content":"a\\ud83d"}]}}',
            Generate("c", {"messages": [{"role": "user", "content": "a\ufffd"}]}),
        ),
        (
            '{"type":"prepare","id":"p","request":{"messages":[1,{"content":[2,{"text":"\\ude00b"}]}]}}',
            Prepare("p", {"messages": [1, {"content": [2, {"text": "\ufffdb"}]}]}),
        ),
        (
            '{"type":"generate","id":"c","request":{"messages":[{"content":"\\ud83d\\ude00\\ud83d"}]}}',
            Generate("c", {"messages": [{"content": "😀\ufffd"}]}),
        ),
        (
            '{"type":"auth","token":"t","client":{"name":"Phone \\ud83d"}}',
            Auth("t", Client("Phone \ufffd")),
        ),
    ],
)
def test_half_an_emoji_in_what_people_read_is_replaced(frame: str, message: FromPhone) -> None:
    """A program that cut a text by UTF-16 units has lost a sign, not its question."""
    assert decode(frame) == message


@pytest.mark.parametrize("value", [*BAD_VALUES][:-1], ids=NAMES[:-1])
def test_fields_of_a_later_version_may_hold_anything(value: str) -> None:
    """They are ignored, whatever there is in them, as far as it can be read past."""
    assert decode(f'{{"type":"ping","t":1,"later":{value}}}') == Ping(1)


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    """As most JSON readers have it, in the quick way and in the slow one."""
    assert decode('{"type":"ping","t":1,"t":2}') == Ping(2)
    assert decode('{"type":"ping","t":"\\ud83d","t":2}') == Ping(2)


@pytest.mark.parametrize(
    ("levels", "taken"), [(NESTING_MAX - 1, True), (NESTING_MAX, False), (950, False)]
)
def test_what_is_taken_can_be_written_again(levels: int, taken: bool) -> None:
    """Everything on the way to the engine has a limit of its own; none is below this one."""
    frame = '{"type":"generate","id":"c","request":{"x":' + "[" * levels + "]" * levels + "}}"
    if not taken:
        with pytest.raises(Problem, match="More than 256"):
            decode(frame)
        return
    message = decode(frame)
    assert isinstance(message, Generate)
    assert json.loads(json.dumps(message.request)) == message.request


@given(
    # What a program says of itself may have fields of a later version, too.
    place=st.sampled_from([place for place in PLACES if "client" not in place[0]]),
    value=st.recursive(
        st.sampled_from([*BAD_VALUES]), lambda inner: inner.map(lambda text: f'{{"x":[0,{text}]}}')
    ),
)
def test_bad_values_however_deep_are_refused_by_name(place: tuple[str, str], value: str) -> None:
    """Objects and arrays around them change nothing but the place."""
    frame, _path = place
    with pytest.raises(Problem) as caught:
        decode(frame % value)

    assert not isinstance(caught.value, BadMessage)
    assert any(words in caught.value.text for words in BAD_VALUES.values())


@pytest.mark.parametrize(
    ("frame", "request_id"),
    [
        ('{"type":"generate","id":"c1"}', "c1"),
        ('{"id":"c1"}', "c1"),
        ('{"id":1}', None),
        ('{"id":""}', None),
        ('{"id":"%s"}' % ("x" * 129), None),
        ("{}", None),
        ("[1]", None),
        ("\ud800", None),
    ],
)
def test_an_error_can_name_the_request_it_is_about(frame: str, request_id: str | None) -> None:
    """The id is found even where the rest of the message is wrong."""
    assert id_of(frame) == request_id


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Pong(1), {"type": "pong", "t": 1}),
        (
            Prepared("p1", 412, 380),
            {"type": "prepared", "id": "p1", "prompt_tokens": 412, "cached_tokens": 380},
        ),
        (
            Delta("r", 7, "answer", 120, "é😀"),
            {
                "type": "response.delta",
                "response_id": "r",
                "seq": 7,
                "channel": "answer",
                "offset": 120,
                "text": "é😀",
            },
        ),
        (Error("busy", "Later."), {"type": "error", "code": "busy", "message": "Later."}),
        (
            Error("busy", "Later.", "c1", 2.5),
            {
                "type": "error",
                "code": "busy",
                "message": "Later.",
                "id": "c1",
                "retry_after_s": 2.5,
            },
        ),
        (
            Queued("r", 2, 12.5, "busy"),
            {
                "type": "response.queued",
                "response_id": "r",
                "position": 2,
                "eta_s": 12.5,
                "reason": "busy",
            },
        ),
    ],
)
def test_messages_are_written_as_the_contract_has_them(
    message: Any, fields: dict[str, Any]
) -> None:
    """What has no value is left out where the contract marks it so."""
    assert json.loads(encode(message)) == fields


def test_the_end_of_a_response_says_what_it_could_not_measure() -> None:
    """Absent figures are null, so that a client need not guess whether they were forgotten."""
    problem = ErrorBody("engine_failed", "Gone.")
    done = Done("r", 1, "failed", None, Usage(3, 0, 0), Timings(queued_s=0.1), problem)

    fields = json.loads(encode(done))

    assert fields["error"] == {"code": "engine_failed", "message": "Gone."}
    assert fields["timings"]["ttft_s"] is None
    assert fields["finish_reason"] is None


@given(frame=st.text())
def test_no_text_does_more_than_be_refused(frame: str) -> None:
    """Strangers may send anything."""
    _decode_or_refuse(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
TYPES = st.sampled_from(["auth", "generate", "prepare", "cancel", "resume", "ping"])
FIELDS = st.sampled_from(["id", "request", "response_id", "after", "token", "client", "t"])


@pytest.mark.slow
@given(kind=TYPES, fields=st.dictionaries(FIELDS, JSON))
def test_no_json_does_more_than_be_refused(kind: str, fields: dict[str, Any]) -> None:
    """Nor does a message of ours with anything in its fields."""
    _decode_or_refuse(json.dumps({**fields, "type": kind}))


@given(data=st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    """Whatever a damaged frame holds, read in the most lenient way there is."""
    _decode_or_refuse(data.decode(errors="surrogateescape"))


def _decode_or_refuse(frame: str) -> None:
    try:
        outcome: FromPhone | Problem = decode(frame)
    except Problem as problem:
        outcome = problem

    if isinstance(outcome, Problem):
        assert outcome.code is Code.BAD_REQUEST
        assert outcome.text.isprintable()
    else:
        ids = [getattr(outcome, name, None) for name in ("id", "response_id")]
        assert all(value is None or 0 < len(value) <= ID_CHARACTERS_MAX for value in ids)
    id_of(frame)
