"""Listening sockets, and serving on them. Kind: hands."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import resource
import socket
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from inglenook.common.errors import StartupError
from inglenook.gateway.acceptor import Site
from inglenook.gateway.settings import EVERYWHERE, ListenSettings
from inglenook.gateway.transports import CONNECTIONS, ClientTransports

#: For what the library reports and no handler sees.
_log = logging.getLogger(__name__)

#: Finished TCP handshakes that may wait to be accepted; a household needs far fewer.
_BACKLOG = 128

#: Time that running handlers have to finish at shutdown, seconds.
_LAST_WORDS_S = 0.5

#: Time a new connection has to send the head of a request, seconds.
FIRST_REQUEST_S = 10.0

_SWEEP_S = 2.0

#: Time between two requests of one connection, seconds; the library's default is an hour.
_KEEP_ALIVE_S = 75.0

#: Time for which the rest of a request is read after its response, seconds.
_LINGERING_S = 2.0

#: Bytes of a request body held for a handler that has not read them; the library holds up to twice
#: as many.
_READ_BYTES = 32 * 1024

#: A browser sends some 20 and a proxy adds 10; the library allows 128, of 8 KiB each.
_HEADERS_MAX = 48

#: asyncio's buffer of a TLS connection; a TLS record has 16 KiB (RFC 8446, section 5.1).
TLS_READ_BYTES = 32 * 1024

#: What a daemon inherits that systemd did not start by its sockets.
NONE_INHERITED: Mapping[int, Sequence[socket.socket]] = MappingProxyType({})

#: Files and sockets this process may have open: all connections there may be, and room to spare.
_OPEN_FILES = 4096


def bind(
    settings: ListenSettings, inherited: Mapping[int, Sequence[socket.socket]] = NONE_INHERITED
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Bind every port that is on; returns the plain sockets and the TLS ones.

    Args:
        settings: Which ports.
        inherited: Sockets that listen already, by port, since systemd holds them; they are taken as
            they are. One for a port that is off is closed here, with a warning.

    Raises:
        StartupError: If a port is taken or may not be used; nothing stays bound then.
    """
    plain_ports = [port for port in (settings.port, *settings.extra) if port]
    tls_ports = [settings.tls_port] if settings.tls_port else []
    held = dict(inherited)
    plain: list[socket.socket] = []
    tls: list[socket.socket] = []
    try:
        for port in plain_ports:
            plain += held.pop(port, ()) or [_bind_one(settings.host, port)]
        for port in tls_ports:
            tls += held.pop(port, ()) or [_bind_one(settings.host, port)]
    except StartupError:
        for sock in (*plain, *tls, *itertools.chain(*held.values())):
            sock.close()
        raise
    for port, socks in held.items():
        _log.warning(
            "systemd listens on port %d, which 'listen' does not have; nobody answers there: "
            "`sudo inglenook service install` brings its socket unit up to date",
            port,
        )
        for sock in socks:
            sock.close()
    return plain, tls


def raise_open_files_limit() -> None:
    """Allow this process the open files it may need; many systems start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class IdleConnectionReaper:
    """Drops connections that send no request; `ClientTransports` bounds their number."""

    def __init__(self, runner: web.AppRunner) -> None:
        """Watch the connections of ``runner``, which `serve` made."""
        self._connections = runner.app[CONNECTIONS]

    async def run(self) -> None:
        """Sweep every `_SWEEP_S` until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._connections.sweep(loop.time() - FIRST_REQUEST_S)
            await asyncio.sleep(_SWEEP_S)


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """The library's log without requests that are not HTTP: those were answered with 400.

    A stranger may send thousands of them, and each would be a line with a traceback.
    """

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        error = options.get("exc_info")
        if error is True:
            error = sys.exc_info()
        if isinstance(error, tuple):
            error = error[1]
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return
        super().log(level, msg, *args, **options)


async def serve(
    app: web.Application,
    plain: Sequence[socket.socket],
    tls: Sequence[socket.socket],
    context: ssl.SSLContext | None,
) -> web.AppRunner:
    """Serve on these sockets until the returned runner is cleaned up."""
    connections = app[CONNECTIONS] = ClientTransports()
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_ServerLog(_log, {}),
        handle_signals=False,
        # When the client hangs up; work that must still be finished goes through `complete`.
        handler_cancellation=True,
        shutdown_timeout=_LAST_WORDS_S,
        keepalive_timeout=_KEEP_ALIVE_S,
        lingering_time=_LINGERING_S,
        read_bufsize=_READ_BYTES,
        max_headers=_HEADERS_MAX,
        # No client compresses its requests, and a few bytes can expand to many.
        auto_decompress=False,
    )
    if tls:
        bound_tls_buffers()
    try:
        await runner.setup()
        for sock in plain:
            if sock.family == socket.AF_UNIX:
                await web.SockSite(runner, sock, backlog=_BACKLOG).start()
            else:
                await _site(runner, sock, connections, None).start()
        for sock in tls:
            await _site(runner, sock, connections, context).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner


def bound_tls_buffers() -> None:
    """Have asyncio hold `TLS_READ_BYTES` for each TLS connection instead of 256 KiB.

    It fills its buffer with zeros when a connection begins and keeps it as long as that lasts, so
    512 phones would take 128 MiB. There is no parameter for it: ``SSLProtocol.max_size`` is not
    documented, and is set here for the whole process. Where a later Python has none, only memory
    is lost; a test measures the buffer of a real connection.
    """
    SSLProtocol.max_size = TLS_READ_BYTES


def _site(
    runner: web.AppRunner,
    sock: socket.socket,
    connections: ClientTransports,
    context: ssl.SSLContext | None,
) -> Site:
    return Site(
        runner,
        sock,
        connections,
        backlog=_BACKLOG,
        handshake_s=FIRST_REQUEST_S,
        ssl_context=context,
    )


def _bind_one(host: str, port: int) -> socket.socket:
    # The default means every address, IPv6 included: one socket serves both.
    both = host in EVERYWHERE and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            ("" if both else host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as exc:
        where = f"{host} port {port}"
        if exc.errno == errno.EADDRINUSE:
            text = (
                f"{where} is taken by another program; stop it, or choose another port in 'listen'"
            )
        elif exc.errno == errno.EACCES:
            text = f"{where} may not be used by this user; choose one above 1023 in 'listen'"
        elif exc.errno == errno.EADDRNOTAVAIL:
            text = f"{where}: this machine has no such address; correct 'listen.host'"
        else:
            text = f"{where} cannot be used: {exc.strerror}"
        raise StartupError(text) from exc
