"""Checks of each request: peer, Host, Origin, token. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import socket
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from inglenook.auth.devices import Device, Scope
from inglenook.auth.network import (
    OwnNames,
    host_allowed,
    origin_allowed,
    peer_allowed,
    peer_is_loopback,
)
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.gateway.context import ACCESS, BOX, Access, Addresses, BoxInfo
from inglenook.gateway.http.errors import speak_plainly
from inglenook.gateway.transports import CONNECTIONS
from inglenook.protocol.session import CloseCode

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

log = logging.getLogger(__name__)

DEVICE = web.RequestKey("device", Device)

#: Paths that need no token, beside the page's own files.
PUBLIC_PATHS = frozenset({"/healthz", "/.well-known/inglenook", "/pair", "/ws"})

#: Needs no token from programs on this machine.
METRICS_PATH = "/metrics"

#: Headers in which a proxy names its client (RFC 7239, and older ones).
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")

#: Shortest time between two reads of the interfaces for unexpected callers, seconds.
_LOOK_AGAIN_S = 2.0


def guards(public_files: frozenset[str]) -> list[Middleware]:
    """The middlewares, outermost first.

    Args:
        public_files: Paths of the page's files, which need no token.
    """
    lan_policy = LanPolicy()

    @web.middleware
    async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not await lan_policy.allows(request):
            if request.path == "/ws":
                return await _close_at_once(request)
            raise Problem(
                Code.FORBIDDEN,
                "This box does not answer to that name, to that page or from that far away; its "
                "owner can add names and pages to 'listen.names' and 'listen.origins'.",
            )
        return await handler(request)

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        public = request.path in PUBLIC_PATHS or request.path in public_files
        if not public and not (request.path == METRICS_PATH and _is_local(request)):
            device = request[DEVICE] = await _authenticate(request)
            connections = request.app.get(CONNECTIONS)
            if connections is not None:
                connections.authenticated(request, device.device_id)
        return await handler(request)

    return [speak_plainly, check_caller, check_token]


def need_scope(request: web.Request, scope: Scope) -> Device:
    """The device that asks, if it may.

    Raises:
        Problem: `Code.FORBIDDEN` if it may not.
    """
    device = request[DEVICE]
    if scope not in device.scopes:
        raise Problem(Code.FORBIDDEN, f"This device lacks the scope '{scope}'.")
    return device


async def _authenticate(request: web.Request) -> Device:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        text = "Send a paired device's token as 'Authorization: Bearer …'."
        raise Problem(Code.NOT_PAIRED, text)
    allowlist = request.app[ACCESS].allowlist
    now = datetime.now(UTC).timestamp()
    verdict = await allowlist.check_fresh(token.strip(), now)
    if isinstance(verdict, Problem):
        raise verdict
    allowlist.touch_soon(verdict.device_id, now)
    return verdict


def _is_local(request: web.Request) -> bool:
    """Whether a program on this machine asks, and not a proxy for another."""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and peer_is_loopback(request.remote)


async def _close_at_once(request: web.Request) -> web.StreamResponse:
    """Refuse a WebSocket so that its script can see why: of a refused handshake it cannot."""
    refused = web.WebSocketResponse(compress=False)
    await refused.prepare(request)
    await refused.close(code=CloseCode.FORBIDDEN_ORIGIN, message=b"origin or host not allowed")
    return refused


class LanPolicy:
    """Which callers the box answers: by its names, networks and pages.

    The box's addresses are read anew for an unexpected caller: the network may have changed.
    """

    def __init__(self) -> None:
        self._addresses: Addresses = []
        self._read_at = float("-inf")

    async def allows(self, request: web.Request) -> bool:
        """Whether this request is answered at all."""
        box, access = request.app[BOX], request.app[ACCESS]
        if self._allows(request, box, access):
            return True
        now = asyncio.get_running_loop().time()
        if now - self._read_at < _LOOK_AGAIN_S:
            return False
        self._read_at = now
        try:
            self._addresses = await box.addresses()
        except StartupError as exc:
            log.warning("%s", exc)  # the addresses read before go on counting
        return self._allows(request, box, access)

    def _allows(self, request: web.Request, box: BoxInfo, access: Access) -> bool:
        host = request.headers.get("Host")
        own = OwnNames(
            frozenset({*(own.interface.ip for own in self._addresses), *_called(request)}),
            socket.gethostname(),
            box.host_name(),
            access.names,
        )
        return (
            peer_allowed(request.remote, self._addresses)
            and host_allowed(host, own)
            and origin_allowed(
                request.headers.get("Origin"),
                host,
                access.origins,
                request.headers.get("Sec-Fetch-Site"),
            )
        )


def _called(request: web.Request) -> set[IPv4Address | IPv6Address]:
    """The address this very connection was made to: certainly one of ours."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return {ip_address(str(name[0]).partition("%")[0])} if isinstance(name, tuple) else set()
