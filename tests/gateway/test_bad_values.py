"""A value that cannot be taken costs a phone one message: its connection and its answers go on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import Home
from tests.parts.box import Box
from tests.parts.phone import Phone, connected, long_chat

pytestmark = pytest.mark.usefixtures("unharmed")

ASKED = '{"type":"generate","id":"bad","request":{"messages":[{"role":"user","content":%s}]%s}}'

#: What is sent, the id in the error if there is one, and words of it.
WRONG = [
    ('{"type":"ping","t":"\\ud83d"}', None, "Half of a surrogate pair in a text - at `$.t`"),
    ('{"type":"ping","t":1e400}', None, "Number out of range - at `$.t`"),
    ('{"type":"ping","t":1' + "0" * 5000 + "}", None, "Number out of range - at `$.t`"),
    ('{"type":"ping","t":NaN}', None, "NaN is no JSON number - at `$.t`"),
    ('{"type":"ping","t":[' + "[" * 100_000, None, "More than 256 objects and arrays"),
    ('{"type":"resume","response_id":"\\ud83d"}', None, "at `$.response_id`"),
    ('{"type":"resume","response_id":"r","after":true}', None, "at `$.after`"),
    ('{"type":"resume","response_id":"r","after":1e400}', None, "at `$.after`"),
    ('{"type":"cancel","response_id":"\\ud83d"}', None, "at `$.response_id`"),
    (ASKED % ('"Hi"', ',"temperature":1e400'), "bad", "at `$.request.temperature`"),
    (ASKED % ('"Hi"', ',"seed":1' + "0" * 5000), "bad", "at `$.request.seed`"),
    (ASKED % ('"Hi"', ',"stop":["\\ud83d"]'), "bad", "at `$.request.stop[0]`"),
    (ASKED % ('"Hi"', ',"x":' + "[" * 950 + "]" * 950), "bad", "More than 256 objects"),
    (ASKED % ('"Hi"', ',"x":' + "[" * 50_000 + "]" * 50_000), "bad", "More than 256 objects"),
    ('{"type":"generate","id":"\\ud83d","request":{}}', None, "at `$.id`"),
    ('{"type":"generate","id":"bad","idempotency_key":"\\ud83d"}', "bad", "`$.idempotency_key`"),
    ('{"type":"prepare","id":"bad","request":{"model":"\\ud83d"}}', "bad", "`$.request.model`"),
    ('{"type":"\\ud83d","id":"bad"}', "bad", "'type' must be one of"),
    ("{}", None, "'type' must be one of"),
]


async def sent(phone: Phone, frame: str) -> dict[str, Any]:
    """Send a frame as it is; returns the error that answers it."""
    await phone.socket.send(frame)
    return await phone.until("error")


@pytest.mark.slow
async def test_bad_values_do_not_disturb_an_answer_on_the_same_connection(
    box: Box, token: str
) -> None:
    """Each is named with its place and its request; the answer comes whole."""
    async with connected(box.url, token) as phone:
        answer = await phone.begin(long_chat(60))
        errors = [await sent(phone, frame) for frame, _id, _words in WRONG]
        await phone.finish(answer)
        after = await phone.ask(long_chat(2))

    for error, (frame, request_id, words) in zip(errors, WRONG, strict=True):
        assert (error["code"], error.get("id")) == ("bad_request", request_id), frame
        assert words in error["message"], frame
    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 60
    assert after.done is not None


@pytest.mark.parametrize("content", ['"Hi \\ud83d"', '[{"type":"text","text":"\\ude00 Hi"}]'])
async def test_a_question_that_was_cut_within_an_emoji_is_answered(
    box: Box, token: str, content: str
) -> None:
    """With U+FFFD for the half, as any text editor would show it."""
    async with connected(box.url, token) as phone:
        await phone.socket.send(ASKED % (content, ',"max_tokens":2'))
        done = await phone.until("response.done")

    assert done["error"] is None


async def test_an_id_is_free_again_after_such_an_error(box: Box, token: str) -> None:
    """The request never began."""
    async with connected(box.url, token) as phone:
        await sent(phone, ASKED % ('"Hi"', ',"seed":1e400'))
        await phone.socket.send(ASKED % ('"Hi"', ',"max_tokens":1'))

        assert (await phone.until("response.done"))["error"] is None


@pytest.mark.parametrize(
    ("after", "outcome"),
    [("-1", "error"), ("1" + "0" * 30, "response.rewound"), ("0", "response.done")],
)
async def test_a_number_to_resume_after_may_be_any(
    box: Box, token: str, after: str, outcome: str
) -> None:
    """One the box does not know is the phone's of before a power cut, however large."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(long_chat(2))
    async with connected(box.url, token) as phone:
        words = f'"response_id":"{answer.response_id}","after":{after}'
        await phone.socket.send(f'{{"type":"resume",{words}}}')

        assert (await phone.until(outcome))["type"] == outcome


async def test_frames_in_pieces_are_frames(box: Box, token: str) -> None:
    """A library may split any text, between any two bytes."""
    async with connected(box.url, token) as phone:
        text = json.dumps({"type": "ping", "t": "é😀"}, ensure_ascii=False).encode()
        await phone.socket.send([text[n : n + 1].decode("latin-1") for n in range(3)] + ['": 1}'])
        await phone.until("error")
        await phone.socket.send(["{", "", '"type":"ping",', '"t":"é', '😀"}'])

        assert (await phone.until("pong"))["t"] == "é😀"


async def test_text_that_is_not_utf8_ends_the_connection(box: Box, token: str) -> None:
    """RFC 6455, section 8.1, leaves no choice."""
    async with connected(box.url, token) as phone:
        await phone.socket.send(b'{"type":"ping","t":"\xff"}', text=True)

        assert await phone.wait_closed() == 1007


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["id", "request", "idempotency_key", "response_id", "after", "t", "messages", "content"]
)
KINDS = st.sampled_from(["generate", "prepare", "cancel", "resume", "ping", "response.done", ""])


@given(frames=st.lists(st.tuples(KINDS, st.dictionaries(NAMES, JSON, max_size=3)), min_size=20))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_object_ends_a_connection(
    home: Home, frames: list[tuple[str, dict[str, Any]]]
) -> None:
    """Whatever it holds: each is answered by an error that says what is wrong, or is a message."""
    async with connected(home.url, home.token) as phone:
        for kind, fields in frames:
            # Under ids of their own: one that is in use is another matter.
            text = json.dumps({**fields, "type": kind})
            await phone.socket.send(text)
        await phone.socket.send('{"type":"ping","t":"the end"}')
        async with asyncio.timeout(20):
            while (await phone.receive()) != {"type": "pong", "t": "the end"}:
                pass
