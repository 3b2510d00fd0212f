"""What must not be done by half is done to its end, also if its client has hung up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from inglenook.auth.devices import Device, Scope
from inglenook.common.private_files import locked
from inglenook.gateway.context import ACCESS, BOX, CHAT, GatewayContext
from inglenook.gateway.control import make_control_app
from inglenook.gateway.http.app import make_app
from inglenook.gateway.http.completing import complete
from inglenook.gateway.listen import serve
from inglenook.gateway.ws.connections import PhoneConnections
from tests.gateway.conftest import SOON_S, Home, eventually


class Work:
    """Something that takes as long as a test likes."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.done = False

    async def __call__(self, _name: str = "") -> int:
        self.begun.set()
        await self.may_end.wait()
        self.done = True
        return 7


async def test_its_result_and_its_error_come_back() -> None:
    """As if it had been awaited."""
    work = Work()
    work.may_end.set()

    async def fail() -> None:
        raise LookupError("no such thing")

    assert await complete(work()) == 7
    with pytest.raises(LookupError, match="no such thing"):
        await complete(fail())


@pytest.mark.parametrize("times", [1, 3])
async def test_whoever_is_cancelled_waits_for_its_end(times: int) -> None:
    """However often; then it is cancelled all the same."""
    work = Work()
    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(complete(work()), name="caller")
        await work.begun.wait()
        for _ in range(times):
            caller.cancel()
            await asyncio.sleep(0)
        assert not caller.done()
        work.may_end.set()

    assert work.done
    assert caller.cancelled()


async def test_an_error_that_nobody_is_there_to_hear_is_no_warning() -> None:
    """The client has gone; whoever did the work has logged what there was to say."""
    begun, may_fail = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        await may_fail.wait()
        raise LookupError

    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(complete(fail()), name="caller")
        await begun.wait()
        caller.cancel()
        may_fail.set()

    assert caller.cancelled()


@asynccontextmanager
async def asking(port: int, path: str, body: object, token: str) -> AsyncIterator[None]:
    """Send a request; at the end of the block hang up without having read anything."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(data)}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + data)
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


def hung_up(runner: web.AppRunner) -> bool:
    """Whether the server has noticed; the handler may still be at work."""
    assert runner.server is not None
    return all(connection.transport is None for connection in runner.server.connections)


async def test_a_phone_that_hangs_up_while_it_is_let_in_is_let_in(home: Home) -> None:
    """The list is written already; whoever opened the window must hear that it has closed."""
    access = home.runner.app[ACCESS]
    path = access.allowlist._store.path
    body = {"code": access.pairing.open().shown_code, "device_name": "Hasty"}
    port = int(home.url.rpartition(":")[2])
    with locked(path, SOON_S):
        async with asking(port, "/pair", body, ""):
            await eventually(lambda: not access.pairing.is_open)
        await eventually(lambda: hung_up(home.runner))
    async with asyncio.timeout(SOON_S):
        device = await access.pairing.wait_closed()

    assert device is not None
    assert device.name == "Hasty"
    assert device in access.allowlist.devices


@pytest.mark.parametrize("path", ["/v1/wake", "/cache/purge", "/devices/revoke?device=Remote"])
async def test_a_call_a_purge_or_a_revocation_is_made_whole(home: Home, path: str) -> None:
    """One packet of three, a cache emptied on disk alone, a device off the list but connected."""
    work = Work()

    async def revoke(id_or_name: str) -> Device:
        await work()
        return device

    parts = home.runner.app
    context = GatewayContext(parts[BOX], parts[ACCESS], parts[CHAT], bytes, work)
    device, token = await asyncio.to_thread(parts[ACCESS].allowlist.add, "Remote", (Scope.WAKE,))
    if path == "/v1/wake":
        app = make_app(context, PhoneConnections(lambda: None), {})
    else:
        app = make_control_app(context.box, context.access, work, revoke)
    door = socket.create_server(("127.0.0.1", 0))
    runner = await serve(app, [door], [], None)
    try:
        async with asking(door.getsockname()[1], path, {"name": "Office"}, token):
            async with asyncio.timeout(SOON_S):
                await work.begun.wait()
        await eventually(lambda: hung_up(runner))
        work.may_end.set()
        await eventually(lambda: work.done)
    finally:
        await runner.cleanup()
