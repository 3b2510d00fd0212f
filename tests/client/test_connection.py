"""The terminal's line to a box goes on after every loss, and gives up where going on is no use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from inglenook.client import connection as wire_module
from inglenook.client.connection import BoxConnection
from inglenook.client.route import Route
from inglenook.common.errors import Code, Problem, StartupError
from tests.parts.box import Box, free_port

PATIENCE_S = 20.0
QUESTION = [{"role": "user", "content": "Tell me in two sentences what the sea is."}]


class Relay:
    """Stands between a phone and the box, and cuts the line when told.

    Attributes:
        losses: So many connections are lost as soon as something of an answer has come through.
    """

    def __init__(self, box_port: int, port: int, losses: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.connections = 0
        self.losses = losses
        self._box_port = box_port
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Lose every connection without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on in both directions until either side ends."""
        self.connections += 1
        box_reader, box_writer = await asyncio.open_connection("127.0.0.1", self._box_port)
        self._writers |= {writer, box_writer}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, box_writer), name="to the box")
            tasks.create_task(self._to_the_phone(box_reader, writer), name="to the phone")
        self._writers -= {writer, box_writer}

    async def _to_the_phone(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on a frame at a time, however many come at once."""
        try:
            writer.write(await reader.readuntil(b"\r\n\r\n"))
            while True:
                frame = await _frame(reader)
                writer.write(frame)
                await writer.drain()
                if self.losses and b'"response.' in frame:
                    self.losses -= 1
                    self.cut()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One frame as a server sends it, unmasked (RFC 6455, 5.2)."""
    head = await reader.readexactly(2)
    size = head[1]
    if size > 125:
        longer = await reader.readexactly(2 if size == 126 else 8)
        head, size = head + longer, int.from_bytes(longer)
    return head + await reader.readexactly(size)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def relay_to(box: Box, losses: int = 0) -> AsyncIterator[Relay]:
    """Run a relay until the end of the block."""
    relay = Relay(box.port, free_port(), losses)
    port = int(relay.url.rpartition(":")[2])
    async with asyncio.TaskGroup() as tasks:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.create_task(relay.serve(reader, writer), name="relay")

        async with await asyncio.start_server(accept, "127.0.0.1", port):
            yield relay
            relay.cut()


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once; how long to wait is not what is tested here."""
    monkeypatch.setattr(wire_module, "_BACKOFF_S", (0.0, 0.0, 0.0))


async def told(
    wire: BoxConnection, after_each: Callable[[int], Awaitable[None]] | None = None
) -> list[dict[str, Any]]:
    """Ask, and return every message of the answer."""
    messages = []
    async for message in wire.ask(QUESTION):
        messages.append(message)
        if after_each is not None:
            await after_each(len(messages))
    return messages


def text(messages: list[dict[str, Any]]) -> str:
    answer = ""
    for message in messages:
        if message["type"] == "response.delta":
            assert message["offset"] == len(answer)
            answer += message["text"]
    return answer


@pytest.mark.slow
@pytest.mark.usefixtures("no_waits")
async def test_an_answer_goes_on_after_every_loss(box: Box, token: str) -> None:
    """Cut again and again, nothing is missing and nothing comes twice."""
    async with relay_to(box, losses=3) as relay:
        wire = BoxConnection(Route(relay.url), token)
        await wire.open()

        messages = await told(wire)
        await wire.close()

    assert messages[-1]["type"] == "response.done"
    assert len(text(messages)) > 10
    # How many frames there are depends on how they are merged; two before the end there always are.
    assert relay.connections >= 3


@pytest.mark.usefixtures("no_waits")
async def test_a_question_lost_on_its_way_is_asked_once(box: Box, token: str) -> None:
    """The connection was gone before it was sent; its key makes sending it again safe."""
    async with relay_to(box) as relay:
        wire = BoxConnection(Route(relay.url), token)
        await wire.open()
        relay.cut()

        messages = await told(wire)
        await wire.close()

    assert messages[-1]["status"] in ("completed", "incomplete")
    assert len({message["response_id"] for message in messages}) == 1


async def test_an_answer_can_be_stopped(box: Box, token: str) -> None:
    """Its end still comes."""
    wire = BoxConnection(Route(box.url), token)
    await wire.open()

    async def stop(count: int) -> None:
        if count == 3:
            await wire.cancel()

    messages = await told(wire, stop)
    await wire.cancel()
    await wire.close()

    assert messages[-1]["status"] in ("cancelled", "completed")


@pytest.mark.usefixtures("no_waits")
async def test_a_wish_to_stop_is_told_as_soon_as_it_can_be_and_after_every_loss() -> None:
    """Whoever stops at once does so before the box has said what the answer is called."""
    heard: list[dict[str, Any]] = []

    async def hear(socket: ServerConnection) -> None:
        heard.append(json.loads(await socket.recv()))

    async def first(socket: ServerConnection) -> None:
        await wire.cancel()
        await socket.send('{"type":"response.created","response_id":"r"}')
        await hear(socket)
        await socket.close(1012)

    async def then(socket: ServerConnection) -> None:
        await hear(socket)
        await socket.send('{"type":"response.done","response_id":"r","status":"cancelled"}')

    speeches = iter((first, then))

    async def speech(socket: ServerConnection) -> None:
        await next(speeches)(socket)

    async with asyncio.timeout(PATIENCE_S), saying(speech) as wire:
        await told(wire)

    assert heard == [{"type": "cancel", "response_id": "r"}] * 2


@pytest.mark.usefixtures("no_waits")
async def test_a_box_that_stays_away_is_given_up(box: Box, token: str) -> None:
    """With a sentence."""
    wire = BoxConnection(Route(box.url), token)
    async with relay_to(box) as relay:
        wire = BoxConnection(Route(relay.url), token)
        await wire.open()

    with pytest.raises(StartupError, match="does not answer again"):
        await told(wire)


async def test_the_first_way_that_leads_to_the_box_is_taken(box: Box, token: str) -> None:
    """It has several addresses, and from here there need not be a way to each."""
    nowhere = Route(f"http://127.0.0.1:{free_port()}")
    async with saying_something_else() as other:
        wire = BoxConnection(nowhere, token, [other, Route(box.url)])
        greeting = await wire.open()
        await wire.close()

    assert greeting["type"] == "auth_ok"


async def test_of_several_ways_that_lead_nowhere_the_first_is_told() -> None:
    """It is the one that was shown."""
    first, second = (Route(f"http://127.0.0.1:{free_port()}") for _ in range(2))

    with pytest.raises(StartupError, match=f"no box answers at {first.url}"):
        await BoxConnection(first, "token", [second]).open()


@pytest.mark.usefixtures("no_waits")
async def test_an_answer_goes_on_by_another_way_when_one_is_gone(box: Box, token: str) -> None:
    """Such as when the box's cable is pulled, and it has Wi-Fi, too."""
    async with AsyncExitStack() as cable:
        relay = await cable.enter_async_context(relay_to(box))
        wire = BoxConnection(Route(relay.url), token, [Route(box.url)])
        await wire.open()

        async def pull(count: int) -> None:
            if count == 2:
                await cable.aclose()

        messages = await told(wire, pull)
        await wire.close()

    assert messages[-1]["type"] == "response.done"
    assert len(text(messages)) > 10


async def test_a_device_removed_meanwhile_hears_so(box: Box) -> None:
    """It does not try to come back."""
    token = box.pair("Short visit")
    wire = BoxConnection(Route(box.url), token)
    await wire.open()
    box.revoke("Short visit", token)

    with pytest.raises(Problem) as caught:
        await told(wire)

    assert caught.value.code is Code.REVOKED


Speech = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def saying_something_else() -> AsyncIterator[Route]:
    """The way to something that is no box."""

    async def talk(socket: ServerConnection) -> None:
        await socket.send("hello")

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Route(f"http://127.0.0.1:{port}")


@asynccontextmanager
async def saying(speech: Speech) -> AsyncIterator[BoxConnection]:
    """A line to something that says it is a box and then says what the test wants."""

    async def talk(socket: ServerConnection) -> None:
        await socket.send('{"type":"auth_required","v":1,"server_id":"0123abcd","name":"x"}')
        await socket.recv()
        await socket.send('{"type":"auth_ok"}')
        await socket.recv()
        await speech(socket)

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        wire = BoxConnection(Route(f"http://127.0.0.1:{port}"), "token")
        await wire.open()
        yield wire
        await wire.close()


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        ('{"type":"error","code":"busy","message":"Later."}', Problem, "Later"),
        ('{"type":"resume_gone","response_id":"r"}', StartupError, "no longer has this answer"),
    ],
)
async def test_what_the_box_refuses_is_said(frame: str, error: type[Exception], words: str) -> None:
    """In its own sentence, or in ours."""
    async with saying(lambda socket: socket.send(frame)) as wire:
        with pytest.raises(error, match=words):
            await told(wire)


@pytest.mark.parametrize(
    "end", ['"type":"prepared","prompt_tokens":9,"cached_tokens":9', '"type":"error","code":"busy"']
)
async def test_what_becomes_of_reading_ahead_is_passed_over(end: str) -> None:
    """It is told whenever the box likes, and is no answer to the question."""

    async def speech(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"id":"of what was prepared","message":"No.",' + end + "}")
        await socket.send('{"type":"response.done","response_id":"r","status":"completed"}')

    async with saying(speech) as wire:
        await wire.prepare(QUESTION)
        messages = await told(wire)

    assert [message["type"] for message in messages] == ["response.done"]


async def test_a_lost_line_is_found_out_by_the_question_not_by_reading_ahead() -> None:
    """Nobody waits for what is only likely."""
    async with saying(lambda socket: socket.close(1012)) as wire:
        await wire.prepare(QUESTION)
        await wire.close()
        await wire.prepare(QUESTION)


@pytest.mark.parametrize("code", [4400, 4409, 4413, 4429])
async def test_a_box_that_hangs_up_for_good_is_believed(code: int) -> None:
    """Asking again would end the same way."""
    async with saying(lambda socket: socket.close(code, "the reason")) as wire:
        with pytest.raises(StartupError, match="the box hung up: the reason"):
            await told(wire)


@pytest.mark.usefixtures("no_waits")
async def test_after_a_power_cut_it_reads_on_from_where_the_box_still_is() -> None:
    """The frames that were lost with the power are asked for under their new numbers."""
    heard: list[str] = []

    async def first(socket: ServerConnection) -> None:
        delta = '{"type":"response.delta","response_id":"r","seq":9,"channel":"answer"'
        await socket.send(delta + ',"offset":0,"text":"Hello wor"}')
        await socket.send(
            '{"type":"response.rewound","response_id":"r","seq":5,"offsets":{"answer":5}}'
        )
        await socket.close(1012)

    async def then(socket: ServerConnection) -> None:
        await socket.send('{"type":"response.done","response_id":"r","status":"completed"}')

    speeches = [first, then]

    async def talk(socket: ServerConnection) -> None:
        await socket.send('{"type":"auth_required"}')
        await socket.recv()
        await socket.send('{"type":"auth_ok"}')
        heard.append(str(await socket.recv()))
        await speeches[len(heard) - 1](socket)

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        wire = BoxConnection(Route(f"http://127.0.0.1:{port}"), "token")
        await wire.open()
        await told(wire)
        await wire.close()

    assert '"after": 5' in heard[1]


@pytest.mark.parametrize("said", ["", "HTTP/1.1 404 Not Found\r\n\r\n"])
async def test_something_else_at_the_address_is_no_box(said: str) -> None:
    """It hangs up, or speaks no WebSocket."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said.encode())
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StartupError, match="no box answers"):
            await BoxConnection(Route(f"http://127.0.0.1:{port}"), "token").open()
