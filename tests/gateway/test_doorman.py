"""Connections that say nothing do not stay, and do not keep others out."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web

from inglenook.common.private_files import locked, read_private, write_private
from inglenook.gateway import listen
from inglenook.gateway.guard import guards
from inglenook.gateway.listen import IdleConnectionReaper, raise_open_files_limit, serve
from tests.gateway.conftest import SOON_S
from tests.parts.box import Box
from tests.parts.phone import chat, knocking

REQUEST = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_a_silent_connection_is_dropped_and_a_used_one_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What counts is whether a request ever came, not how long ago."""
    monkeypatch.setattr(listen, "FIRST_REQUEST_S", 0.2)
    monkeypatch.setattr(listen, "_SWEEP_S", 0.05)
    app = web.Application(middlewares=guards(frozenset({"/"}))[:1])
    app.router.add_get("/", hello)
    door = socket.create_server(("127.0.0.1", 0))
    runner = await serve(app, [door], [], None)
    try:
        async with asyncio.TaskGroup() as tasks:
            silent, other = await asyncio.open_connection(*door.getsockname())
            used, writer = await asyncio.open_connection(*door.getsockname())
            writer.write(REQUEST)
            assert (await used.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            # Only now, or a machine that is slow to answer would have the used one dropped as well.
            sweeping = tasks.create_task(IdleConnectionReaper(runner).run())
            async with asyncio.timeout(SOON_S):
                with contextlib.suppress(ConnectionResetError):
                    assert await silent.read() == b""
            writer.write(REQUEST)
            assert (await used.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            sweeping.cancel()
        writer.close()
        other.close()
    finally:
        await runner.cleanup()


def test_the_open_files_limit_is_raised() -> None:
    """To what the connections need, where the system allows it."""
    raise_open_files_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert soft >= min(hard, 4096) or hard == resource.RLIM_INFINITY


def test_a_silent_stranger_does_not_hold_up_a_stop(fresh_box: Box) -> None:
    """One that connects and never says who it is must not cost the five seconds."""

    async def knock_and_stop() -> float:
        async with knocking(fresh_box.url) as stranger:
            assert (await stranger.receive())["type"] == "auth_required"
            started_s = time.monotonic()
            await asyncio.to_thread(fresh_box.stop)
            return time.monotonic() - started_s

    assert asyncio.run(knock_and_stop()) < 5


def test_a_new_token_is_good_at_once(box: Box) -> None:
    """The command line writes the file, and the daemon looks into it before it refuses."""
    assert box.http("GET", "/v1/state", token=box.add_device("At once")).status == 200


def narrow(path: Path, device_id: str) -> None:
    """Take the right to ask from a device, as an editor would; the daemon writes there, too."""
    with locked(path, SOON_S):
        before, found, entry = read_private(path).decode().partition(device_id)
        text = before + found + entry.replace('"chat"', '"metrics"', 1)
        write_private(path, text.encode())


@pytest.mark.slow
async def test_a_device_that_may_no_longer_ask_is_refused_on_its_open_connection(box: Box) -> None:
    """Scopes are what they are now, not what they were when it connected."""
    token = await asyncio.to_thread(box.add_device, "Narrowed")
    async with knocking(box.url) as phone:
        hello = await phone.authenticate(token)
        await asyncio.to_thread(narrow, box.state_dir / "devices.json", hello["device_id"])
        while True:
            answer = await phone.generate(chat("Hello?", max_tokens=1))
            await phone.finish(answer)
            if answer.error is not None:
                break
        assert answer.error["code"] == "forbidden"
