"""Phones that connect and do nothing, or ask and never read. Kind: hands."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator

import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from benchmarks.follower import Follower, Told, counting
from benchmarks.household import Box
from benchmarks.scenarios import Tally, whole
from inglenook.client.answer import Message

_IDLE_PER_DEVICE = 16

#: The smallest the kernel takes; it makes some 2 KiB of it.
_RECEIVE_BYTES = 1


async def flood(box: Box, *, idle: int, deaf: int, tokens: int, rounds: int) -> Tally:
    """Idle sockets, deaf phones and four streams, several times over.

    ``rss_growth_bytes`` is what the daemon grew by in all, ``rss_drift_bytes`` what it grew by
    after the first round, when everybody was connected already.
    """
    tally = Tally(f"{idle} idle sockets and {deaf} that never read")
    daemon = psutil.Process(box.pid)
    tokens_of = [await asyncio.to_thread(box.pair, f"stream {n}") for n in range(4)]
    crowd = [
        await asyncio.to_thread(box.pair, f"idle {n}") for n in range(-(-idle // _IDLE_PER_DEVICE))
    ]
    deaf_tokens = [await asyncio.to_thread(box.pair, f"deaf {n}") for n in range(deaf)]
    # What is made once for the first answers is not what is measured here.
    await asyncio.gather(*(_stream(box, token, 8) for token in tokens_of))
    before = daemon.memory_info().rss
    sizes = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(idle):
            await stack.enter_async_context(_idle(box, crowd[number // _IDLE_PER_DEVICE]))
        mute = [await asyncio.to_thread(_deaf, box.url, token, tokens) for token in deaf_tokens]
        for sock in mute:
            stack.enter_context(sock)
        for _ in range(rounds):
            for sock in mute:
                await asyncio.to_thread(_pester, sock)
            told = await asyncio.gather(*(_stream(box, token, tokens) for token in tokens_of))
            sizes.append(daemon.memory_info().rss)
            for one in told:
                tally.count(one, expected=whole(one, tokens))
            tally.times += 1
    tally.notes["rss_growth_bytes"] = max(sizes) - before
    tally.notes["rss_drift_bytes"] = sizes[-1] - sizes[0]
    return tally


async def _stream(box: Box, token: str, tokens: int) -> Told:
    return await Follower(box.url, token, counting(tokens)).follow()


@contextlib.asynccontextmanager
async def _idle(box: Box, token: str) -> AsyncIterator[None]:
    url = box.url.replace("http", "ws", 1) + "/ws"
    async with connect(
        url, compression=None, subprotocols=[Subprotocol("inglenook.v1")], close_timeout=1
    ) as phone:
        await phone.recv()
        await phone.send(json.dumps({"type": "auth", "token": token}))
        assert json.loads(await phone.recv())["type"] == "auth_ok"
        yield


def _deaf(url: str, token: str, tokens: int) -> socket.socket:
    """Connect, ask for an answer, and never read a byte; blocking."""
    host, port = url.removeprefix("http://").split(":")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    deaf.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    deaf.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: inglenook.v1\r\n\r\n".encode()
    )
    request = {"type": "generate", "id": "q", "request": counting(2 * tokens)}
    _say(deaf, {"type": "auth", "token": token}, request)
    return deaf


def _pester(deaf: socket.socket) -> None:
    """Make the box say more than the buffers between it and a deaf phone hold; blocking."""
    # The box may have hung up; it may do so.
    with contextlib.suppress(ConnectionError):
        _say(deaf, *[{"type": "ping", "t": "x" * 400}] * 250)


def _say(deaf: socket.socket, *messages: Message) -> None:
    deaf.sendall(b"".join(_masked(json.dumps(message).encode()) for message in messages))


def _masked(text: bytes) -> bytes:
    """One text frame as RFC 6455, section 5.2, has it from a client; the mask is all zeros."""
    if len(text) < 126:
        header = bytes([0x81, 0x80 | len(text)])
    else:
        header = bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big")
    return header + bytes(4) + text
