"""The sockets phones knock at. Kind: hands."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import resource
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from inglenook.errors import StartupError
from inglenook.gateway.guard import SPOKEN
from inglenook.gateway.settings import EVERYWHERE, ListenSettings

#: Where the library reports what our own handlers do not see.
_log = logging.getLogger(__name__)

#: Finished handshakes that may wait for us; a household never comes near.
_BACKLOG = 128

#: Time a running handler has, at the end, to finish by itself, seconds.
_LAST_WORDS_S = 0.5

#: A connection has so long to send the head of a request, seconds, from when it was first seen.
FIRST_REQUEST_S = 10.0

#: Connections that have not sent one; more are dropped, the oldest first.
SILENT_MAX = 256

_SWEEP_S = 2.0

#: asyncio holds a buffer for each TLS connection as long as that lasts. With its own 256 KiB,
#: 512 phones would cost 128 MiB; a TLS record has 16 (RFC 8446, section 5.1).
TLS_READ_BYTES = 32 * 1024
SSLProtocol.max_size = TLS_READ_BYTES

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


class Doorman:
    """Drops connections that say nothing: each costs a file, and strangers have many."""

    def __init__(self, runner: web.AppRunner) -> None:
        """Watch the connections of ``runner``."""
        self._runner = runner
        self._first_seen: dict[RequestHandler, float] = {}

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._sweep(loop.time())
            await asyncio.sleep(_SWEEP_S)

    def _sweep(self, now: float) -> None:
        assert self._runner.server is not None
        connections = self._runner.server.connections
        silent = [c for c in connections if c.transport is not None and c.transport not in SPOKEN]
        self._first_seen = {c: self._first_seen.get(c, now) for c in silent}
        for index, connection in enumerate(reversed(silent)):
            if index >= SILENT_MAX or now - self._first_seen[connection] > FIRST_REQUEST_S:
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.abort()


def _is_rare(record: logging.LogRecord) -> bool:
    """Whether it is anything but one more refused connection: those come by the thousand."""
    return "out of system resource" not in record.getMessage()


logging.getLogger("asyncio").addFilter(_is_rare)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than a stranger's request that is no HTTP, which has had its 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log.addFilter(_is_news)


async def serve(
    app: web.Application,
    plain: Sequence[socket.socket],
    tls: Sequence[socket.socket],
    context: ssl.SSLContext | None,
) -> web.AppRunner:
    """Answer on these sockets until the returned runner is cleaned up."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_log,
        handle_signals=False,
        # Who hangs up waits for nothing; what must be done all the same is `completing.complete`.
        handler_cancellation=True,
        shutdown_timeout=_LAST_WORDS_S,
    )
    try:
        await runner.setup()
        for sock in plain:
            await web.SockSite(runner, sock, backlog=_BACKLOG).start()
        for sock in tls:
            await web.SockSite(runner, sock, ssl_context=context, backlog=_BACKLOG).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner


def _bind_one(host: str, port: int) -> socket.socket:
    # The default means every address there is, and that includes IPv6: one socket hears both.
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
