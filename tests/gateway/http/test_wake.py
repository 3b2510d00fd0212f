"""A device of scope `wake` may have the box call a machine that its owner named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.common.errors import StartupError
from inglenook.gateway.http.app import make_app
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.power.settings import WakeSettings, WakeTarget
from inglenook.power.waker import WakeTargets
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine
from tests.gateway.conftest import gateway

SETTINGS = WakeSettings(
    targets=(
        WakeTarget("Office", "dc:a6:32:01:02:03"),
        WakeTarget("Attic", "00:e0:4c:68:01:02"),
    )
)


class Home:
    """A box whose network remembers who was called, and a token for each scope."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.url = ""
        self.tokens: dict[str, str] = {}

    async def send(self, mac: bytes, _secure_on: bytes | None) -> int:
        if mac == b"\0\xe0\x4c\x68\x01\x02":
            raise StartupError("no network interface with an address is up")
        self.called.append(mac.hex(":"))
        return 2

    async def ask(self, body: object, scope: str | None = "wake") -> tuple[int, Any]:
        """POST /v1/wake; returns the status and the answer."""
        headers = {"Authorization": f"Bearer {self.tokens[scope]}"} if scope else {}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/v1/wake", data=json.dumps(body)) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    """Everything is real but the network and the engine, which nobody asks."""
    home = Home()
    allowlist = Allowlist(tmp_path / "devices.json")
    for scope in Scope:
        home.tokens[scope] = (await asyncio.to_thread(allowlist.add, scope, (scope,)))[1]
    engine = FakeEngine()
    desk = Dispatcher(ServingSettings(), Recorder(None), on_change=lambda: None)
    desk.engines.add(engine, max_active=1)
    context = gateway(engine, desk, allowlist, wake=WakeTargets(SETTINGS, home.send).wake)
    async with TestServer(make_app(context, PhoneConnections(lambda: None), {})) as server:
        home.url = str(server.make_url("")).rstrip("/")
        yield home


async def test_a_machine_is_called(home: Home) -> None:
    """202: nobody can tell whether it heard."""
    assert await home.ask({"name": "office"}) == (202, {"name": "office", "interfaces": 2})
    assert home.called == ["dc:a6:32:01:02:03"]


async def test_it_is_called_once_in_a_while(home: Home) -> None:
    """However many phones ask for it; they hear when they may again."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await home.ask({"name": "Office"})
    status, answer = await home.ask({"name": "OFFICE"})
    took_s = loop.time() - began_at

    assert (status, answer["error"]["code"]) == (429, "rate_limited")
    assert 9.9 - took_s < answer["error"]["retry_after_s"] <= 10.0
    assert len(home.called) == 1


@pytest.mark.parametrize("name", ["Kitchen", "", "dc:a6:32:01:02:03", "x" * 100_000])
async def test_a_machine_the_owner_has_not_named_is_not_found(home: Home, name: str) -> None:
    """Phones cannot have any address called."""
    status, answer = await home.ask({"name": name})

    assert (status, answer["error"]["code"]) == (404, "bad_request")
    assert "'wake.targets'" in answer["error"]["message"]
    assert home.called == []


@pytest.mark.parametrize("body", [None, [], "Office", {}, {"name": 5}, {"name": ["Office"]}])
async def test_a_body_that_makes_no_sense_is_refused(home: Home, body: object) -> None:
    """With a sentence."""
    status, answer = await home.ask(body)

    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert answer["error"]["message"] == "The body must be an object with a 'name'."


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.WAKE])
async def test_it_takes_the_scope_for_it(home: Home, scope: str) -> None:
    """No other scope includes it."""
    status, answer = await home.ask({"name": "Office"}, scope)

    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert home.called == []


async def test_it_takes_a_token(home: Home) -> None:
    """As everything but the page does."""
    status, answer = await home.ask({"name": "Office"}, None)

    assert (status, answer["error"]["code"]) == (401, "not_paired")


async def test_a_network_that_is_gone_is_told(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The log says why, in case somebody asks."""
    status, answer = await home.ask({"name": "Attic"})

    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "could not send" in answer["error"]["message"]
    assert "no network interface with an address is up" in caplog.text
