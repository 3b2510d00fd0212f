"""``POST /v1/inference`` over real sockets: bounds, reasons, streams, and clients that hang up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession

from inglenook.common.errors import Code, Problem
from inglenook.engine.events import Adjustment
from inglenook.engine.orders import Thinking
from inglenook.gateway.http.inference import DEFAULT_MAX_TOKENS
from inglenook.serving.limits import ServingLimits
from tests.gateway.conftest import SOON_S, Home, eventually
from tests.parts.box import Box
from tests.parts.starter import CAPITAL, PARIS

USAGE = {"prompt_tokens": 10, "completion_tokens": 26, "cached_tokens": 0}
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Client:
    """A program with a token; it asks one question after the other."""

    def __init__(self, home: Home, session: ClientSession) -> None:
        self.home = home
        self.asked: list[Asking] = []
        self._session = session

    async def begin(self, *, headers: dict[str, str] | None = None, **fields: Any) -> Asking:
        """Ask, and wait until the engine, or the queue, has the question."""
        engine, desk = self.home.engine, self.home.desk
        asked = len(engine.orders)
        asking = Asking(
            asyncio.create_task(  # noqa: TID251  awaited by `Asking.reply`
                self._session.post(
                    "/v1/inference",
                    json={"question": "Why?", **fields},
                    headers={"Authorization": f"Bearer {self.home.token}", **(headers or {})},
                )
            )
        )
        self.asked.append(asking)
        await eventually(
            lambda: len(engine.orders) > asked or desk.load.queued or asking.task.done()
        )
        return asking


class Asking:
    """A request under way."""

    def __init__(self, task: asyncio.Task[ClientResponse]) -> None:
        self.task = task

    async def reply(self) -> ClientResponse:
        """What it is answered; the body of a stream is still to be read."""
        async with asyncio.timeout(SOON_S):
            return await self.task


@pytest.fixture
async def client(home: Home) -> AsyncIterator[Client]:
    """One that keeps its connection."""
    async with ClientSession(home.url) as session:
        client = Client(home, session)
        yield client
        for asking in client.asked:
            (await asking.reply()).close()


async def error_of(reply: ClientResponse) -> tuple[int, str]:
    """Status and code of an error."""
    return reply.status, (await reply.json())["error"]["code"]


def test_a_real_answer_says_why_it_ended_and_what_it_took(box: Box, token: str) -> None:
    """By the model's own end."""
    reply = box.http("POST", "/v1/inference", token=token, body={"question": CAPITAL})

    told = reply.json()
    assert (reply.status, told["answer"], told["finish_reason"]) == (200, PARIS, "stop")
    assert told["usage"]["prompt_tokens"] > 20
    assert 5 < told["usage"]["completion_tokens"] < 15


def test_a_real_answer_is_no_longer_than_was_asked(box: Box, token: str) -> None:
    """And says that it was cut."""
    body = {"question": CAPITAL, "max_tokens": 3}
    told = box.http("POST", "/v1/inference", token=token, body=body).json()

    assert (told["answer"], told["finish_reason"]) == ("The capital of", "length")
    assert told["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_header_says_what_was_done_to_the_conversation(
    client: Client, stream: bool
) -> None:
    """If anything was."""
    engine = client.home.engine
    for adjustments, header in (
        ((), None),
        ((Adjustment.SYSTEM_FOLDED, Adjustment.MERGED), "system_folded, messages_merged"),
    ):
        engine.adjustments = adjustments
        asking = await client.begin(stream=stream)
        engine.step(27)
        reply = await asking.reply()
        assert reply.headers.get("Inglenook-Adjustments") == header


async def test_an_answer_that_nobody_reads_along_is_bounded(client: Client) -> None:
    """Where the request sets no bound there is one all the same; and loops are looked for."""
    asking = await client.begin()
    client.home.engine.step(27)
    await asking.reply()

    (order,) = client.home.engine.orders
    assert order.max_tokens == DEFAULT_MAX_TOKENS
    assert order.repetition_detection


async def test_what_it_says_of_thinking_goes_to_the_engine(client: Client) -> None:
    """By the names of a chat body; what cannot be is refused as there."""
    for fields, thinking in (
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, Thinking("on", None, 64)),
        ({"enable_thinking": False}, Thinking("off")),
        ({"reasoning_effort": "low"}, Thinking("auto", "low")),
        ({"chat_template_kwargs": {"thinking": True}}, Thinking("on")),
    ):
        asking = await client.begin(**fields)
        client.home.engine.step(27)
        await asking.reply()
        assert client.home.engine.orders[-1].thinking == thinking
    refused = await client.begin(thinking="perhaps")
    assert await error_of(await refused.reply()) == (400, "bad_request")


async def test_what_the_request_says_goes_to_the_engine(client: Client) -> None:
    """Its own bound, and that it wants repetitions."""
    asking = await client.begin(max_tokens=7, repetition_detection=False)
    client.home.engine.step(27)
    reply = await asking.reply()

    (order,) = client.home.engine.orders
    assert (order.max_tokens, order.repetition_detection) == (7, False)
    assert (await reply.json())["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "many"),
        ("max_tokens", True),
        ("timeout_s", 0),
        ("timeout_s", -1),
        ("timeout_s", 3601),
        ("timeout_s", "1m"),
        ("timeout_s", True),
        ("stream", "yes"),
        ("stream", 1),
        ("repetition_detection", {"min_count": 4}),
    ],
)
async def test_a_wrong_field_is_named(client: Client, field: str, value: Any) -> None:
    """With what it may be; nothing is asked."""
    reply = await (await client.begin(**{field: value})).reply()

    assert await error_of(reply) == (400, "bad_request")
    assert f"'{field}'" in (await reply.json())["error"]["message"]
    assert not client.home.engine.orders


async def test_a_client_whose_time_is_over_has_the_text_so_far(client: Client) -> None:
    """It is told so, and the engine writes no further for nobody."""
    asking = await client.begin(timeout_s=0.3)
    client.home.engine.step(5)
    await eventually(lambda: client.home.engine.cancels)
    client.home.engine.step()
    told = await (await asking.reply()).json()

    assert (told["answer"], told["finish_reason"]) == ("abcde", "timeout")
    assert told["usage"] == {**USAGE, "completion_tokens": 5}
    assert not client.home.engine.running


async def test_a_client_is_answered_even_if_the_engine_does_not_end_in_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody knows what it took."""
    monkeypatch.setattr("inglenook.gateway.http.inference._END_S", 0.05)
    asking = await client.begin(timeout_s=0.3)
    client.home.engine.step(5)
    told = await (await asking.reply()).json()

    assert told == {"answer": "abcde", "finish_reason": "timeout", "usage": None}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_whose_time_is_over_before_there_is_any_text_has_an_error(
    client: Client, stream: bool
) -> None:
    """An empty answer with status 200 would be taken for an answer."""
    client.home.desk.limit(ServingLimits(0))
    reply = await (await client.begin(timeout_s=0.2, stream=stream)).reply()

    assert await error_of(reply) == (503, "busy")
    assert reply.headers["Retry-After"]
    client.home.desk.limit(ServingLimits(4))
    assert not client.home.engine.orders


@pytest.mark.parametrize("how", [{"stream": True}, {"headers": {"Accept": "text/plain"}}])
async def test_a_shell_reads_the_text_as_it_comes(client: Client, how: dict[str, Any]) -> None:
    """Nothing else is in it; it ends where the answer does."""
    asking = await client.begin(**how)
    client.home.engine.step(3)
    reply = await asking.reply()
    first = await reply.content.readany()
    client.home.engine.step(24)
    rest = await reply.content.read()

    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert (first, rest) == (b"abc", ALPHABET[3:].encode())


async def test_stream_false_wins_over_what_a_client_says_it_accepts(client: Client) -> None:
    """The body is the request; the header may be a library's own."""
    asking = await client.begin(stream=False, headers={"Accept": "text/plain, */*"})
    client.home.engine.step(27)

    told = await (await asking.reply()).json()
    assert told == {"answer": ALPHABET, "finish_reason": "stop", "usage": USAGE}


async def test_what_the_model_thinks_is_not_in_the_stream(client: Client) -> None:
    """Nor does it begin the stream: an error may still be told as one."""
    client.home.engine.thinking = True
    client.home.engine.scripts["Why?"] = [b"Well", b"</think>", b"So."]
    asking = await client.begin(stream=True)
    client.home.engine.step(4)

    assert await (await asking.reply()).read() == b"So."


async def test_a_stream_that_fails_before_its_first_text_is_an_error(client: Client) -> None:
    """With its own status, as everywhere."""
    client.home.engine.scripts["Why?"] = [None]
    asking = await client.begin(stream=True)
    for _death in range(2):
        client.home.engine.step()
        client.home.engine.come_back()

    assert await error_of(await asking.reply()) == (503, "engine_failed")


async def _broken_off(reply: ClientResponse) -> bytes:
    """What came of a stream before it was broken off."""
    text = await reply.content.readany()
    with pytest.raises(ClientPayloadError):
        await reply.content.read()
    return text


async def test_a_stream_that_fails_later_is_broken_off(client: Client) -> None:
    """Its text comes, its last chunk does not: a shell sees that it is not whole."""
    client.home.engine.scripts["Why?"] = [b"a", b"b", None]
    asking = await client.begin(stream=True)
    client.home.engine.step(2)
    reply = await asking.reply()
    for _death in range(2):
        client.home.engine.step()
        client.home.engine.come_back()

    assert await _broken_off(reply) == b"ab"


async def test_a_stream_whose_time_is_over_is_broken_off(client: Client) -> None:
    """And the engine writes no further."""
    asking = await client.begin(stream=True, timeout_s=0.5)
    client.home.engine.step(2)
    reply = await asking.reply()

    assert await _broken_off(reply) == b"ab"
    await eventually(lambda: client.home.engine.cancels)


async def test_a_stream_of_one_who_is_revoked_is_broken_off(client: Client) -> None:
    """It ended, but nobody would have it so."""
    asking = await client.begin(stream=True)
    client.home.engine.step(2)
    reply = await asking.reply()
    client.home.desk.forget_device(client.home.device_id)
    client.home.engine.step()

    assert await _broken_off(reply) == b"ab"


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_is_written_to_no_more(client: Client, stream: bool) -> None:
    """At once, not when somebody looks for it: nothing is left of it two loop turns later."""
    engine = client.home.engine
    host, _, port = client.home.url.removeprefix("http://").rstrip("/").partition(":")
    body = json.dumps({"question": "Why?", "stream": stream}).encode()
    head = (
        f"POST /v1/inference HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {client.home.token}\r\n\r\n"
    )
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    await eventually(lambda: engine.running)
    engine.step(3)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    hung_up_at = asyncio.get_running_loop().time()
    await eventually(lambda: engine.cancels)

    assert asyncio.get_running_loop().time() - hung_up_at < 0.2


@pytest.mark.parametrize("stream", [False, True])
async def test_who_waits_when_the_box_shuts_down_hears_so_at_once(
    client: Client, stream: bool
) -> None:
    """Not after the time that handlers have to finish."""
    asking = await client.begin(stream=stream)
    begun = asyncio.get_running_loop().time()
    await client.home.runner.cleanup()
    reply = await asking.reply()

    assert await error_of(reply) == (503, "shutting_down")
    assert asyncio.get_running_loop().time() - begun < 0.4


async def test_a_question_that_is_refused_is_refused_to_a_stream_as_well(client: Client) -> None:
    """Before anything is sent."""
    client.home.desk.limit(ServingLimits(4, refuse=Problem(Code.TOO_HOT, "The box is hot.")))
    asking = await client.begin(stream=True)

    assert await error_of(await asking.reply()) == (503, "too_hot")


def test_a_real_stream_ends_with_its_last_chunk(box: Box, token: str) -> None:
    """Byte by byte, as curl would see it."""
    body = json.dumps({"question": CAPITAL}).encode()
    with socket.create_connection(("127.0.0.1", box.port), SOON_S) as line:
        line.sendall(
            f"POST /v1/inference HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/plain\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n".encode()
            + body
        )
        said = b"".join(iter(lambda: line.recv(4096), b""))

    head, _, chunks = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert chunks.endswith(b"0\r\n\r\n")


async def test_a_timeout_that_meets_the_end_is_no_timeout(client: Client) -> None:
    """The engine ended the answer by itself before it heard that it need not go on."""
    client.home.engine.scripts["Why?"] = [b"So", b"."]
    asking = await client.begin(timeout_s=0.3)
    client.home.engine.step()
    await eventually(lambda: client.home.engine.cancels)
    for writing in client.home.engine.running.values():
        writing.cancelled = False
    client.home.engine.step(2)

    told = await (await asking.reply()).json()
    assert (told["answer"], told["finish_reason"]) == ("So.", "stop")
