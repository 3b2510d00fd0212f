"""How many connections there may be, and of whom."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from inglenook.gateway.phones import SOCKETS_PER_DEVICE_MAX, STRANGERS_MAX
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


async def test_strangers_cannot_take_all_the_room(box: Box, token: str) -> None:
    """Who says nothing is one of few; a paired phone comes in as soon as one of them leaves."""
    async with AsyncExitStack() as open_until_end:
        strangers = [
            await open_until_end.enter_async_context(knocking(box.url))
            for _ in range(STRANGERS_MAX)
        ]
        for stranger in strangers:
            assert (await stranger.receive())["type"] == "auth_required"
        async with knocking(box.url) as one_too_many:
            assert await one_too_many.wait_closed() == 4429
        await strangers[0].send({"type": "auth", "token": token})
        assert (await strangers[0].receive())["type"] == "auth_ok"

        async with connected(box.url, token) as phone:
            assert phone.hello["type"] == "auth_ok"
