"""How many connections there may be, and of whom."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from inglenook.gateway.connection_table import UNAUTHENTICATED_MAX
from inglenook.gateway.ws import connections
from inglenook.gateway.ws.connections import SOCKETS_PER_DEVICE_MAX
from tests.gateway.conftest import Home
from tests.parts.box import Box
from tests.parts.phone import connected, knocking, long_chat

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.slow
async def test_one_device_may_have_some_connections_but_not_all(box: Box, token: str) -> None:
    """The one too many is closed; the others, and other devices, go on."""
    other_token = box.pair("Neighbour")
    async with AsyncExitStack() as open_until_end:
        crowd = [
            await open_until_end.enter_async_context(connected(box.url, token))
            for _ in range(SOCKETS_PER_DEVICE_MAX + 1)
        ]
        neighbour = await open_until_end.enter_async_context(connected(box.url, other_token))

        assert await crowd[-1].wait_closed() == 4429
        for phone in (crowd[0], crowd[-2], neighbour):
            await phone.send({"type": "ping", "t": 1})
            assert (await phone.until("pong"))["t"] == 1


async def test_strangers_do_not_shut_phones_out(box: Box, token: str) -> None:
    """More of them than there may be, of one address; each phone gets in and is answered."""
    async with AsyncExitStack() as open_until_end:
        for _ in range(2 * UNAUTHENTICATED_MAX):
            await open_until_end.enter_async_context(
                knocking(box.url, local_addr=("127.0.0.2", 0), close_timeout=0)
            )
        for _ in range(2):
            async with connected(box.url, token) as phone:
                assert (await phone.ask(long_chat(2))).done is not None


async def test_a_phone_that_is_slow_to_authenticate_stays_while_strangers_come(
    box: Box, token: str
) -> None:
    """They push out their own."""
    async with knocking(box.url) as phone, AsyncExitStack() as open_until_end:
        strangers = [
            await open_until_end.enter_async_context(
                knocking(box.url, local_addr=("127.0.0.2", 0), close_timeout=0)
            )
            for _ in range(2 * UNAUTHENTICATED_MAX)
        ]

        assert (await phone.authenticate(token))["type"] == "auth_ok"
        assert (await strangers[-1].receive())["type"] == "auth_required"


async def test_phones_have_their_places_whoever_else_knocks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place is taken by a device, not by a stranger; the one too many is told so."""
    monkeypatch.setattr(connections, "SOCKETS_MAX", 2)
    async with AsyncExitStack() as open_until_end:
        strangers = [await open_until_end.enter_async_context(knocking(home.url)) for _ in range(4)]
        for stranger in strangers[:2]:
            assert (await stranger.authenticate(home.token))["type"] == "auth_ok"
        await strangers[2].authenticate(home.other_token)

        assert await strangers[2].wait_closed() == 4429
        await strangers[0].send({"type": "ping", "t": 1})
        assert (await strangers[0].until("pong"))["t"] == 1
