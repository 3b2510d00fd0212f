"""Opens the servers, and closes them. Kind: hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.daemon.start import Resources
from inglenook.daemon.tls_port import TlsPort
from inglenook.gateway.context import GatewayContext
from inglenook.gateway.control import make_control_app
from inglenook.gateway.control_devices import Revoke
from inglenook.gateway.http.app import make_app
from inglenook.gateway.listen import IdleConnectionReaper, serve
from inglenook.gateway.ws.connections import PhoneConnections

#: How long phones may take to go when the box stops, seconds.
_GOODBYE_S = 1.5


@asynccontextmanager
async def front_door(
    found: Resources, gateway: GatewayContext, phones: PhoneConnections, tls: TlsPort | None
) -> AsyncIterator[IdleConnectionReaper]:
    """Serve requests from the network until the end of the block."""
    context = None if tls is None else tls.context
    runner = await serve(make_app(gateway, phones, found.pages), found.plain, found.tls, context)
    try:
        yield IdleConnectionReaper(runner)
    finally:
        with Guard("sending phones away"):
            await phones.close(_GOODBYE_S)
        await _close(runner)


@asynccontextmanager
async def control_door(
    found: Resources,
    gateway: GatewayContext,
    purge: Callable[[], Awaitable[int]],
    revoke: Revoke,
) -> AsyncIterator[None]:
    """Serve the owner's command line until the end of the block."""
    app = make_control_app(gateway.box, gateway.access, purge, revoke)
    runner = await serve(app, [found.control], [], None)
    try:
        yield
    finally:
        await _close(runner)


async def _close(runner: web.AppRunner) -> None:
    with TaskGuard("closing a door"):
        await runner.cleanup()
        return
    # Once more for the rest: sockets have to be closed, and requests to end.
    await runner.cleanup()
