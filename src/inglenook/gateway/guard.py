"""Who gets past the door: peer, Host, Origin, token; how errors look outside. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import socket
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, web
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
from inglenook.common.restarting import TaskGuard
from inglenook.gateway.context import HOUSE, Addresses, GatewayContext
from inglenook.gateway.transports import CONNECTIONS, ClientTransport, connection_of
from inglenook.protocol.session import CloseCode

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

log = logging.getLogger(__name__)

DEVICE = web.RequestKey("device", Device)

#: What answers without a token, beside the page's own files.
PUBLIC_PATHS = frozenset({"/healthz", "/.well-known/inglenook", "/pair", "/ws"})

#: What answers without a token to programs on this machine only.
METRICS_PATH = "/metrics"

#: The HTTP status of each code.
STATUS = {
    Code.BAD_REQUEST: 400,
    Code.NOT_PAIRED: 401,
    Code.REVOKED: 401,
    Code.FORBIDDEN: 403,
    Code.UNKNOWN_RESPONSE: 404,
    Code.CONTEXT_TOO_LONG: 400,
    Code.RATE_LIMITED: 429,
    Code.BUSY: 503,
    Code.TOO_HOT: 503,
    Code.LOW_MEMORY: 503,
    Code.MODEL_LOADING: 503,
    Code.MODEL_MISSING: 503,
    Code.ENGINE_FAILED: 503,
    Code.SHUTTING_DOWN: 503,
    Code.INTERNAL: 500,
}

#: The page is one origin's and nobody else's; it has no inline code and fetches from nowhere else.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

#: By these a proxy says for whom it asks (RFC 7239, and what there was before).
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")

#: How often the interfaces may be read anew because somebody unexpected called, seconds.
_LOOK_AGAIN_S = 2.0


def guards(public_files: frozenset[str]) -> list[Middleware]:
    """The middlewares, outermost first.

    Args:
        public_files: Paths of the page's files, which answer without a token.
    """
    neighbourhood = _Neighbourhood()

    @web.middleware
    async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
        house = request.app[HOUSE]
        if not await neighbourhood.welcomes(request, house):
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


_handling = TaskGuard("a request")


@web.middleware
async def speak_plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say what is wrong with a request, or with us, in the one form there is for it."""
    connection: ClientTransport | None = None
    response: web.StreamResponse | None = None
    moved: web.HTTPException | None = None
    # A bug of ours must cost one request only.
    with _handling:
        connection = connection_of(request)
        if connection is not None:
            connection.request_began()
        try:
            response = await handler(request)
        except Problem as problem:
            response = problem_response(problem)
        except web.HTTPException as exc:
            code = Code.INTERNAL if exc.status >= 500 else Code.BAD_REQUEST
            response = problem_response(Problem(code, f"{exc.reason}."), exc.status)
            moved = exc if exc.status < 400 else None
        except (ConnectionError, ClientError):
            # The client went away, or sent a body that is not what its headers say.
            response = problem_response(Problem(Code.BAD_REQUEST, "The request is not whole."))
    if moved is not None:
        raise moved
    if response is None:
        text = "Something went wrong on the box; its log says more."
        response = problem_response(Problem(Code.INTERNAL, text))
    if not response.prepared:
        response.headers.update(HEADERS)
    # What still comes of a body that nobody has read is not the next head; what follows it is.
    if connection is not None:
        with _handling:
            request.content.on_eof(connection.request_ended)
    return response


def problem_response(problem: Problem, status: int | None = None) -> web.Response:
    """A problem as JSON, ``{"error": {"code", "message", "retry_after_s"}}``."""
    error: dict[str, Any] = {"code": problem.code, "message": problem.text}
    headers = retry_after(problem)
    if problem.retry_after_s is not None:
        error["retry_after_s"] = problem.retry_after_s
    if problem.code in (Code.NOT_PAIRED, Code.REVOKED):
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(
        {"error": error}, status=status or STATUS[problem.code], headers=headers
    )


def retry_after(problem: Problem) -> dict[str, str]:
    """The header that says when to come back; none if that cannot be told."""
    if problem.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, round(problem.retry_after_s)))}


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
    allowlist = request.app[HOUSE].allowlist
    now = datetime.now(UTC).timestamp()
    verdict = await allowlist.check_fresh(token.strip(), now)
    if isinstance(verdict, Problem):
        raise verdict
    allowlist.touch_soon(verdict.device_id, now)
    return verdict


def _is_local(request: web.Request) -> bool:
    """Whether a program on this machine asks for itself, and not for others as a proxy does."""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and peer_is_loopback(request.remote)


async def _close_at_once(request: web.Request) -> web.StreamResponse:
    """Refuse a WebSocket so that its script can see why: of a refused handshake it cannot."""
    refused = web.WebSocketResponse(compress=False)
    await refused.prepare(request)
    await refused.close(code=CloseCode.FORBIDDEN_ORIGIN, message=b"origin or host not allowed")
    return refused


class _Neighbourhood:
    """What the box is called and which networks it is in; read anew for an unexpected caller."""

    def __init__(self) -> None:
        self._addresses: Addresses = []
        self._read_at = float("-inf")

    async def welcomes(self, request: web.Request, house: GatewayContext) -> bool:
        if self._allows(request, house):
            return True
        now = asyncio.get_running_loop().time()
        if now - self._read_at < _LOOK_AGAIN_S:
            return False
        # The network may have changed since the last look, or this is the first.
        self._read_at = now
        try:
            self._addresses = await house.addresses()
        except StartupError as exc:
            log.warning("%s", exc)  # what was known before goes on counting
        return self._allows(request, house)

    def _allows(self, request: web.Request, house: GatewayContext) -> bool:
        host = request.headers.get("Host")
        own = OwnNames(
            frozenset({*(own.interface.ip for own in self._addresses), *_called(request)}),
            socket.gethostname(),
            house.host_name(),
            house.names,
        )
        return (
            peer_allowed(request.remote, self._addresses)
            and host_allowed(host, own)
            and origin_allowed(
                request.headers.get("Origin"),
                host,
                house.origins,
                request.headers.get("Sec-Fetch-Site"),
            )
        )


def _called(request: web.Request) -> set[IPv4Address | IPv6Address]:
    """The address this very connection was made to: certainly one of ours."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return {ip_address(str(name[0]).partition("%")[0])} if isinstance(name, tuple) else set()
