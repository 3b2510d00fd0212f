"""Accepts connections itself, so that each is counted before its first byte. Kind: hands.

asyncio's own server hides a connection until its TLS handshake is over, which a peer may leave
open for 60 s, and starts as many as the peer likes. Accepting them here needs only public
interfaces (`loop.add_reader`, `loop.connect_accepted_socket`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from functools import partial

from aiohttp import web

from inglenook.common.guarded import Guard
from inglenook.gateway.transports import ClientTransport, ClientTransports

log = logging.getLogger(__name__)

#: Connections accepted in one turn of the loop; a streamed frame waits no longer.
_ACCEPTS_A_TURN = 8

#: Without a free file descriptor: seconds until the next attempt, and between two log lines.
_RETRY_S = 0.5
_LOG_EVERY_S = 60.0

#: Time a closed TLS connection waits for the peer's close, seconds.
_TLS_CLOSE_S = 2.0

_NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Site(web.BaseSite):
    """One listening socket of a runner, TLS or not."""

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        connections: ClientTransports,
        *,
        backlog: int,
        handshake_s: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Take a bound socket.

        Args:
            runner: Has been set up.
            sock: Listens already, or not yet; closed by `stop`.
            connections: Counts each connection.
            backlog: Connections the kernel may hold for us.
            handshake_s: Time a TLS handshake may take.
            ssl_context: For TLS.
        """
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        assert runner.server is not None
        self._make_handler = runner.server
        self._sock = sock
        self._connections = connections
        self._handshake_s = handshake_s if ssl_context else None
        self._close_s = _TLS_CLOSE_S if ssl_context else None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._logged_at = float("-inf")
        self._taking = Guard("taking a connection")

    @property
    def name(self) -> str:
        """Where it listens."""
        host, port = self._sock.getsockname()[:2]
        return f"{'https' if self._ssl_context else 'http'}://{host}:{port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._sock.setblocking(False)
        self._sock.listen(self._backlog)
        self._listen()

    async def stop(self) -> None:
        """Stop listening, and give up the handshakes that are under way."""
        if self._retry is not None:
            self._retry.cancel()
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()
        handshakes = list(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        await super().stop()

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._wait_for_room(exc)
                return
            taken = False
            with self._taking:
                self._take(sock, _host_of(address))
                taken = True
            if not taken:
                sock.close()

    def _take(self, sock: socket.socket, host: str) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        connection = ClientTransport(self._connections, self._make_handler(), loop.time())
        self._connections.opened(connection, host)
        task = loop.create_task(self._connect(connection, sock), name="connect")
        connection.handshake = task
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)
        task.add_done_callback(partial(_close_unused, connection, sock))

    async def _connect(self, connection: ClientTransport, sock: socket.socket) -> None:
        connection.has_socket = True
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._ssl_context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._close_s,
            )
        except OSError as exc:
            # The peer hung up or speaks no TLS; a stranger may do that, so it is no warning.
            log.debug("a connection failed before its first request: %s", exc)
            self._connections.closed(connection)
        except asyncio.CancelledError:
            self._connections.closed(connection)
            raise

    def _wait_for_room(self, exc: OSError) -> None:
        """Accept nothing for a moment: the socket would be found readable over and over."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)
        self._retry = loop.call_later(_RETRY_S, self._listen)
        if exc.errno in _NO_FILE_LEFT:
            self._connections.make_room()
        if loop.time() - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = loop.time()
            log.warning(
                "new connections have to wait: %s; more may be allowed by LimitNOFILE= in the "
                "service's unit, or by ulimit -n",
                exc.strerror,
            )


def _host_of(address: Sequence[object]) -> str:
    """The host of a socket's address; that of a link-local IPv6 one has its zone."""
    zone = address[3] if len(address) > 3 else 0
    return f"{address[0]}%{zone}" if zone else str(address[0])


def _close_unused(
    connection: ClientTransport, sock: socket.socket, _handshake: asyncio.Task[None]
) -> None:
    """Close the socket of a task that was cancelled before its first step; no other closes it."""
    if not connection.has_socket:
        sock.close()
