"""How many connections there may be, and of whom."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from inglenook.gateway import phone as one_phone
from inglenook.gateway.phones import SOCKETS_PER_DEVICE_MAX, STRANGERS_MAX
from tests.gateway.conftest import Home
from tests.parts.box import Box
from tests.parts.phone import connected, knocking

pytestmark = pytest.mark.usefixtures("unharmed")


async def test_one_device_may_have_some_connections_but_not_all(box: Box, token: str) -> None:
    """The one too many is closed; the others, and other devices, go on."""
    other_token = box.pair("Neighbour")
    async with AsyncExitStack() as open_until_end:
        phones = [
            await open_until_end.enter_async_context(connected(box.url, token))
            for _ in range(SOCKETS_PER_DEVICE_MAX + 1)
        ]
        neighbour = await open_until_end.enter_async_context(connected(box.url, other_token))

        assert await phones[-1].wait_closed() == 4429
        for phone in (phones[0], phones[-2], neighbour):
            await phone.send({"type": "ping", "t": 1})
            assert (await phone.until("pong"))["t"] == 1


async def test_strangers_cannot_take_all_the_room(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says nothing is one of few; a paired phone comes in as soon as one of them leaves."""
    # So many take a slow machine a while; the first must not be gone before the last has come.
    monkeypatch.setattr(one_phone, "AUTH_S", 600.0)
    async with AsyncExitStack() as open_until_end:
        strangers = [
            await open_until_end.enter_async_context(knocking(home.url))
            for _ in range(STRANGERS_MAX)
        ]
        for stranger in strangers:
            assert (await stranger.receive())["type"] == "auth_required"
        async with knocking(home.url) as one_too_many:
            assert await one_too_many.wait_closed() == 4429
        await strangers[0].send({"type": "auth", "token": home.token})
        assert (await strangers[0].receive())["type"] == "auth_ok"

        async with connected(home.url, home.token) as phone:
            assert phone.hello["type"] == "auth_ok"
