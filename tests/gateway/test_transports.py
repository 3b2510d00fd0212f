"""Connections are bounded before their first byte, and none of a paired phone goes for others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from inglenook.auth.certificates import ensure_certificate, server_ssl_context
from inglenook.gateway import acceptor, transports
from inglenook.gateway.connection_table import UNAUTHENTICATED_MAX, UNAUTHENTICATED_SHARE
from inglenook.gateway.guard import guards
from inglenook.gateway.listen import IdleConnectionReaper, serve
from inglenook.gateway.transports import CONNECTIONS, HEAD_BYTES_MAX
from tests.gateway.conftest import SOON_S, eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"

#: Other hosts than 127.0.0.1, as far as the box can tell.
STRANGER, PHONE = "127.0.0.2", "127.0.0.3"

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Served:
    """A server with one page, and its open pipes."""

    def __init__(self, runner: web.AppRunner, door: socket.socket) -> None:
        self.runner = runner
        self.connections = runner.app[CONNECTIONS]
        self.address = door.getsockname()
        self._pipes: list[Pipe] = []

    async def connect(self, host: str, trusting: ssl.SSLContext | None = None) -> Pipe:
        pipe = await asyncio.open_connection(*self.address, local_addr=(host, 0), ssl=trusting)
        self._pipes.append(pipe)
        return pipe

    async def hang_up(self) -> None:
        for _reader, writer in self._pipes:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def leave_unread(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def hello(request: web.Request) -> web.Response:
    name = request.query.get("device")
    if name is not None:
        request.app[CONNECTIONS].authenticated(request, name)
    await request.read()
    return web.Response(text="hello")


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    app = web.Application(middlewares=guards(frozenset({"/"}))[:1])
    app.router.add_get("/", hello)
    app.router.add_post("/", hello)
    app.router.add_post("/unread", leave_unread)
    door = socket.create_server(("127.0.0.1", 0))
    plain, tls = ([door], []) if context is None else ([], [door])
    runner = await serve(app, plain, tls, context)
    served = Served(runner, door)
    try:
        yield served
    finally:
        await served.hang_up()
        await runner.cleanup()


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """What a TLS port is served with; made before there is a loop to block."""
    now = datetime.now(UTC).timestamp()
    return server_ssl_context(ensure_certificate(tmp_path, ["localhost"], [], now))


async def ask(pipe: Pipe, request: bytes = REQUEST) -> None:
    reader, writer = pipe
    writer.write(request)
    async with asyncio.timeout(SOON_S):
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def dropped(pipe: Pipe) -> None:
    """Wait until a connection has ended."""
    async with asyncio.timeout(SOON_S):
        with contextlib.suppress(ConnectionResetError):
            assert await pipe[0].read() == b""


async def test_of_too_many_strangers_the_oldest_go_at_once() -> None:
    """The newest one is answered, though all come from one address."""
    async with serving() as served:
        pipes = [await served.connect(STRANGER) for _ in range(UNAUTHENTICATED_MAX + 5)]

        for pipe in pipes[:5]:
            await dropped(pipe)
        for pipe in (pipes[5], pipes[-1]):
            await ask(pipe)


async def test_a_bug_costs_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is closed at once, be it as it comes or as it goes; the next one is answered."""
    async with serving() as served:
        opened, closed = served.connections.opened, served.connections.closed
        monkeypatch.setattr(served.connections, "opened", fault)
        await dropped(await served.connect(STRANGER))
        monkeypatch.setattr(served.connections, "opened", opened)

        monkeypatch.setattr(served.connections, "closed", fault)
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.set_exception_handler(lambda _loop, _context: told.set())
        pipe = await served.connect(STRANGER)
        await ask(pipe)
        assert served.runner.server is not None
        assert len(served.runner.server.connections) == 1
        pipe[1].close()
        async with asyncio.timeout(SOON_S):
            await told.wait()
        loop.set_exception_handler(None)
        server = served.runner.server
        # The library has been told.
        await eventually(lambda: not server.connections)

        monkeypatch.setattr(served.connections, "closed", closed)
        await ask(await served.connect(STRANGER))


def fault(*_args: object) -> None:
    """A bug."""
    raise RuntimeError("nobody foresaw this")


async def test_a_slow_phone_does_not_go_for_strangers_of_another_address() -> None:
    """However many they are, and however late it speaks."""
    async with serving() as served:
        phone = await served.connect(PHONE)
        for _ in range(4):
            for _ in range(UNAUTHENTICATED_MAX):
                await served.connect(STRANGER)
        await ask(phone)


async def test_a_connection_that_asked_once_without_a_token_stays_a_strangers() -> None:
    """Kept open for the next request it would cost a file for as long as the library likes."""
    async with serving() as served:
        idle = await served.connect(STRANGER)
        await ask(idle)
        for _ in range(UNAUTHENTICATED_MAX):
            await served.connect(STRANGER)
        await dropped(idle)


async def test_a_connection_with_a_token_is_no_strangers() -> None:
    """It is answered again after any number of them."""
    async with serving() as served:
        paired = await served.connect(STRANGER)
        await ask(paired, REQUEST.replace(b"/ ", b"/?device=ada "))
        for _ in range(2 * UNAUTHENTICATED_MAX):
            await served.connect(STRANGER)
        await ask(paired)


async def test_a_device_that_opens_connections_without_end_loses_its_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not another device's."""
    monkeypatch.setattr(transports, "DEVICE_HTTP_MAX", 6)
    monkeypatch.setattr(transports, "DEVICE_HTTP_SHARE", 2)
    async with serving() as served:
        others = await served.connect(PHONE)
        await ask(others, REQUEST.replace(b"/ ", b"/?device=ben "))
        many = [await served.connect(PHONE) for _ in range(7)]
        for pipe in many:
            await ask(pipe, REQUEST.replace(b"/ ", b"/?device=ada "))

        await dropped(many[0])
        await dropped(many[1])
        for pipe in (others, many[2], many[-1]):
            await ask(pipe)


async def test_connections_that_end_leave_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only open ones count, so nobody is dropped for one that hung up."""
    async with serving() as served:
        kept = await served.connect(PHONE)
        for _ in range(2 * UNAUTHENTICATED_MAX):
            _reader, writer = await served.connect(PHONE)
            writer.close()
            await writer.wait_closed()
        await ask(kept)


async def test_a_tls_handshake_that_never_ends_is_a_strangers_connection(
    context: ssl.SSLContext,
) -> None:
    """The library's server would keep it for a minute, and count it nowhere."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with serving(context) as served:
        # The first two bytes of a record, and then nothing.
        pipes = [await served.connect(STRANGER) for _ in range(UNAUTHENTICATED_MAX)]
        pipes[0][1].write(b"\x16\x03")
        await eventually(lambda: served.connections.unauthenticated == UNAUTHENTICATED_MAX)
        async with asyncio.timeout(SOON_S):
            phone = await served.connect(PHONE, trusting)
        await ask(phone)
        await dropped(pipes[0])


async def test_a_tls_handshake_has_a_deadline(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first request has."""
    monkeypatch.setattr("inglenook.gateway.listen.FIRST_REQUEST_S", 0.2)
    async with serving(context) as served:
        await dropped(await served.connect(STRANGER))


async def test_a_stop_does_not_wait_for_handshakes(context: ssl.SSLContext) -> None:
    """Those under way are given up."""
    async with serving(context) as served:
        pipe = await served.connect(STRANGER)
        await eventually(lambda: served.connections.unauthenticated)
        await served.runner.cleanup()
        await dropped(pipe)


async def test_without_a_free_file_a_stranger_goes_for_the_newcomer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so once, with what to do, and not for each attempt."""
    monkeypatch.setattr(acceptor, "_RETRY_S", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving() as served:
        await ask(await served.connect(STRANGER))
        # Ours come from this very process and need a file each as well.
        ready = socket.socket()
        ready.bind((PHONE, 0))
        strangers = [await served.connect(STRANGER) for _ in range(UNAUTHENTICATED_SHARE)]
        await eventually(lambda: served.connections.unauthenticated > UNAUTHENTICATED_SHARE)
        held = [os.dup(0)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 1, limits[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    held.append(os.dup(0))
            ready.setblocking(False)
            await asyncio.get_running_loop().sock_connect(ready, served.address)
            async with asyncio.timeout(SOON_S):
                await asyncio.get_running_loop().sock_sendall(ready, REQUEST)
                answer = await asyncio.get_running_loop().sock_recv(ready, 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for number in held:
                os.close(number)
            ready.close()

    assert strangers
    assert answer.startswith(b"HTTP/1.1 200")
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "LimitNOFILE=" in told[0].getMessage()


async def test_a_request_head_that_never_ends_is_cut_off_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes that trickle in are no request."""
    monkeypatch.setattr("inglenook.gateway.listen.FIRST_REQUEST_S", 0.2)
    monkeypatch.setattr("inglenook.gateway.listen._SWEEP_S", 0.05)
    async with serving() as served, asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(IdleConnectionReaper(served.runner).run())
        pipe = await served.connect(STRANGER)
        pipe[1].write(REQUEST[:-4])
        await dropped(pipe)
        sweeping.cancel()


async def test_a_request_head_without_end_is_cut_off_by_its_size() -> None:
    """Also the second on a connection, and before the library would refuse it."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(20))
    async with serving() as served:
        for first in (b"", REQUEST):
            pipe = await served.connect(STRANGER)
            if first:
                await ask(pipe, first)
            pipe[1].write(REQUEST[:-2] + lines)
            await dropped(pipe)


async def test_a_head_is_bounded_behind_a_body_that_nobody_read() -> None:
    """As of a request that was refused; whether its body comes with it or later."""
    head = b"POST /unread HTTP/1.1\r\nHost: box\r\nContent-Length: 4\r\n\r\n"
    async with serving() as served:
        for at_once, later in ((b"body", b""), (b"", b"body")):
            pipe = await served.connect(STRANGER)
            await ask(pipe, head + at_once)
            await ask(pipe, later + REQUEST)
            await ask(pipe, head + at_once)
            # Blank lines before a request are none of its head to the library, and without end.
            pipe[1].write(later + b"\r\n" * 2 * HEAD_BYTES_MAX)
            await dropped(pipe)


async def test_a_large_body_is_no_head() -> None:
    """It may come in one go with the head, and one after the other; and in pieces."""
    body = b"x" * 250_000
    post = b"POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 250000\r\n\r\n" + body
    async with serving() as served:
        pipe = await served.connect(STRANGER)
        for _ in range(3):
            await ask(pipe, post)
        for start in range(0, len(post), 1000):
            pipe[1].write(post[start : start + 1000])
            await asyncio.sleep(0)
        await ask(pipe, b"")


async def test_malformed_requests_leave_little_behind() -> None:
    """What the library keeps of each is garbage in a cycle: bounded by what was read at once."""
    junk = bytes(250_000)
    process = psutil.Process()
    gc.collect()
    gc.disable()
    try:
        async with serving() as served:
            before = process.memory_info().rss
            for _ in range(100):
                pipe = await served.connect(STRANGER)
                pipe[1].write(junk)
                with contextlib.suppress(OSError):
                    await pipe[0].read()
                    await pipe[1].drain()
            grown = process.memory_info().rss - before
    finally:
        gc.enable()

    assert grown < 100 * 256 * 1024
