"""The shared daemon, which must come out of every bad input unharmed, and a box without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

import pytest
from aiohttp import web

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.auth.network import AddressScope, OwnAddress
from inglenook.engine.interface import Engine
from inglenook.gateway.context import (
    Access,
    Addresses,
    BoxIdentity,
    BoxInfo,
    ChatService,
    GatewayContext,
)
from inglenook.gateway.http.app import make_app
from inglenook.gateway.listen import serve
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine
from tests.parts.box import Box

SOON_S = 20.0


@pytest.fixture
def unharmed(box: Box) -> Iterator[None]:
    """After the test the daemon still serves, is the same process, and has logged no trace."""
    pid, engine_pid, said_before = box.pid, box.engine_pid(), len(box.log())
    yield
    assert box.health() == 200
    assert (box.pid, box.engine_pid()) == (pid, engine_pid)
    said = box.log()[said_before:]
    assert "Traceback" not in said, said


@dataclass
class Home:
    """A box without a model, and a token of each scope; ``device_id`` is the first's."""

    url: str
    engine: FakeEngine
    desk: Dispatcher
    device_id: str
    runner: web.AppRunner
    token: str
    other_token: str
    monitor_token: str

    @property
    def jobs(self) -> list[int]:
        """What the engine reads ahead just now."""
        return list(self.engine.reading)


async def nowhere() -> Addresses:
    return [OwnAddress(ip_interface("127.0.0.1/8"), AddressScope.LOOPBACK)]


async def nobody(name: str) -> int:
    raise LookupError(name)


def gateway(
    engine: Engine,
    desk: Dispatcher,
    allowlist: Allowlist,
    *,
    name: str = "Kitchen",
    wake: Callable[[str], Awaitable[int]] = nobody,
) -> GatewayContext:
    """A gateway to everything real but the engine and the network."""
    identity = BoxIdentity("ab12cd34", "Kitchen", "0", "127.0.0.1", 1, 0, None, "00000001")
    return GatewayContext(
        BoxInfo(
            identity=identity,
            engine_state=lambda: engine.state,
            asleep=lambda: False,
            snapshot=dict,
            addresses=nowhere,
            name=lambda: name,
            host_name=lambda: "kitchen-ab12",
            macs=(),
        ),
        Access(allowlist, PairingDoor(allowlist, lambda: None), (), ()),
        ChatService(desk, lambda: None, 600.0),
        metrics=bytes,
        wake=wake,
    )


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    """Everything but the engine is real."""
    allowlist = Allowlist(tmp_path / "devices.json")
    paired = [
        await asyncio.to_thread(allowlist.add, name, scopes, thinking=thinking)
        for name, scopes, thinking in (
            ("Ada", (Scope.CHAT,), "auto"),
            ("Ben", (Scope.CHAT,), "512"),
            ("Monitor", (Scope.METRICS,), "auto"),
        )
    ]
    async with open_desk() as (desk, engine):
        context = gateway(engine, desk, allowlist, name="Kitchen-2")
        door = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        runner = await serve(
            make_app(context, PhoneConnections(lambda: None), {}), [door], [], None
        )
        tokens = (token for _device, token in paired)
        try:
            yield Home(url, engine, desk, paired[0][0].device_id, runner, *tokens)
        finally:
            await runner.cleanup()


@asynccontextmanager
async def open_desk() -> AsyncIterator[tuple[Dispatcher, FakeEngine]]:
    """A desk at work with four places."""
    engine = FakeEngine()
    desk = Dispatcher(ServingSettings(), Recorder(None), on_change=lambda: None)
    desk.engines.add(engine, max_active=4)
    engine.on_change = desk.engine_changed
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run(), name="desk")
        try:
            yield desk, engine
        finally:
            desk.stop()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 the engine tells nobody
            await asyncio.sleep(0.005)
