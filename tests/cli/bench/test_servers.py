"""A measured box: its answer is cancelled if left, and a lost connection is an error, not a gap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from inglenook.cli.bench.servers import BoxServer
from inglenook.client.route import Route
from inglenook.common.errors import Problem, StartupError

PATIENCE_S = 20.0
BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}

Script = Callable[[ServerConnection], Awaitable[None]]


def delta(seq: int, text: str) -> dict[str, Any]:
    """A piece of the answer's text, whose offset is its frame's number."""
    return {"type": "response.delta", "response_id": "r", "seq": seq, "channel": "answer"} | {
        "offset": seq - 1,
        "text": text,
    }


@asynccontextmanager
async def box(script: Script, reply: str = '{"type":"auth_ok"}') -> AsyncIterator[BoxServer]:
    """A server that takes part in the handshake, then follows the script."""

    async def handle(socket: ServerConnection) -> None:
        await socket.send('{"type":"hello"}')
        auth = json.loads(await socket.recv())
        assert (auth["token"], auth["client"]["name"]) == ("token", "inglenook bench")
        await socket.send(reply)
        with contextlib.suppress(ConnectionClosed):
            await script(socket)

    async with asyncio.timeout(PATIENCE_S), serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield BoxServer(Route(f"http://127.0.0.1:{port}"), "token")


async def send(socket: ServerConnection, *messages: dict[str, Any]) -> None:
    """Send messages."""
    for message in messages:
        await socket.send(json.dumps(message))


async def test_pieces_are_counted_and_the_end_has_the_number_of_tokens() -> None:
    """The request is made to go on to its full length."""
    requests: list[dict[str, Any]] = []

    async def script(socket: ServerConnection) -> None:
        requests.append(json.loads(await socket.recv()))
        await send(socket, {"type": "response.created", "response_id": "r"}, delta(1, "a"))
        done = {"type": "response.done", "response_id": "r", "seq": 2, "error": None}
        await send(socket, {**done, "usage": {"completion_tokens": 5}})

    async with box(script) as server:
        pieces = [tokens async for tokens in server.ask(BODY)]

    assert pieces == [None, 5]
    assert requests[0]["type"] == "generate"
    assert requests[0]["request"] == {**BODY, "ignore_eos": True}


async def test_an_answer_that_is_left_is_cancelled() -> None:
    """The box does not go on generating for a client that will not resume."""
    cancelled: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def script(socket: ServerConnection) -> None:
        await socket.recv()
        await send(socket, {"type": "response.created", "response_id": "r"}, delta(1, "a"))
        cancelled.set_result(json.loads(await socket.recv()))

    async with box(script) as server:
        async with contextlib.aclosing(server.ask(BODY)) as answer:
            await anext(answer)
        assert await cancelled == {"type": "cancel", "response_id": "r"}


async def test_a_lost_connection_is_not_resumed() -> None:
    """It would be measured as a slow box."""
    connections = 0

    async def script(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await socket.recv()
        await send(socket, {"type": "response.created", "response_id": "r"}, delta(1, "a"))
        await socket.close(1012)

    async with box(script) as server:
        with pytest.raises(ConnectionClosed):
            _ = [tokens async for tokens in server.ask(BODY)]

    assert connections == 1


@pytest.mark.parametrize(
    ("reply", "fault", "words"),
    [
        ("{}", StartupError, "speaks another protocol"),
        ("<html>", StartupError, "speaks another protocol"),
        ('{"type":"auth_invalid","code":"revoked","message":"Gone."}', Problem, "Gone"),
    ],
)
async def test_a_failed_handshake_is_a_sentence(
    reply: str, fault: type[Exception], words: str
) -> None:
    """As it is for `inglenook chat`."""

    async def script(socket: ServerConnection) -> None:
        await socket.recv()

    async with box(script, reply) as server:
        with pytest.raises(fault, match=words):
            _ = [tokens async for tokens in server.ask(BODY)]
