"""Open connections, accepted here so that each is known before its first byte. Kind: hands.

asyncio's own server hides a connection until its TLS handshake is over, which a peer may leave
open for 60 s, and starts as many as the peer likes. Accepting them ourselves needs nothing but
public interfaces (`loop.add_reader`, `loop.connect_accepted_socket`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from inglenook.gateway.admission import (
    DEVICE_HTTP_MAX,
    DEVICE_HTTP_SHARE,
    UNAUTHENTICATED_MAX,
    UNAUTHENTICATED_SHARE,
    Table,
    peer_group,
)

log = logging.getLogger(__name__)

#: Connections taken before others have a turn of the loop: a streamed frame waits no longer.
_ACCEPTS_A_TURN = 8

#: Without a free file, accepting is tried again after so long, seconds; and logged once in so long.
_RETRY_S = 0.5
_LOG_EVERY_S = 60.0

#: A TLS connection that is closed waits so long for the peer to say so too, seconds.
_TLS_CLOSE_S = 2.0

_NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(eq=False, slots=True)
class Connection:
    """One connection.

    Attributes:
        sock: Closed once the connection is.
        opened_at: Monotonic seconds.
        has_spoken: A whole request head has come.
        handshake: Runs until the transport exists.
        started: The handshake has the socket.
    """

    sock: socket.socket
    opened_at: float
    has_spoken: bool = False
    handshake: asyncio.Task[None] | None = None
    started: bool = False
    transport: asyncio.BaseTransport | None = field(default=None, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it still costs a file."""
        return self.sock.fileno() >= 0

    def drop(self) -> None:
        """Cut it; what waits to be sent is lost."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()


class Connections:
    """The open connections of all ports: those of strangers, and of paired devices by HTTP.

    WebSockets that have authenticated are in neither table; `gateway.phones` bounds them.
    """

    def __init__(self) -> None:
        # A file's number is used again once it is closed, and never before.
        self._by_file: dict[int, Connection] = {}
        self._unauthenticated: Table[Connection] = Table(UNAUTHENTICATED_MAX, UNAUTHENTICATED_SHARE)
        self._devices: Table[Connection] = Table(DEVICE_HTTP_MAX, DEVICE_HTTP_SHARE)

    @property
    def unauthenticated(self) -> int:
        """Connections on which no token has been shown, some of which may be closed already."""
        return len(self._unauthenticated)

    def opened(self, sock: socket.socket, host: str, now: float) -> Connection:
        """Take in a connection that was just accepted; another may be dropped for it."""
        former = self._by_file.get(sock.fileno())
        if former is not None:
            self._forget(former, sock.fileno())
        connection = Connection(sock, now)
        self._by_file[sock.fileno()] = connection
        self._add(self._unauthenticated, connection, peer_group(host))
        return connection

    def spoke(self, request: web.Request) -> None:
        """A whole request head has come on this connection."""
        connection = self._of(request)
        if connection is not None:
            connection.has_spoken = True

    def authenticated(self, request: web.Request, device_id: str) -> None:
        """A request with a device's token has come on this connection."""
        connection = self._of(request)
        if connection is not None and connection not in self._devices:
            self._unauthenticated.remove(connection)
            self._add(self._devices, connection, device_id)

    def became_phone(self, request: web.Request) -> None:
        """A WebSocket has authenticated on this connection."""
        connection = self._of(request)
        if connection is not None:
            self._unauthenticated.remove(connection)
            self._devices.remove(connection)

    def make_room(self) -> None:
        """Drop one unauthenticated connection, if there is any."""
        self._forget_closed()
        victim = self._unauthenticated.pop_oldest()
        if victim is not None:
            victim.drop()

    def sweep(self, silent_since: float) -> None:
        """Drop connections that were open by ``silent_since`` and have sent no request."""
        self._forget_closed()
        for connection in list(self._by_file.values()):
            if not connection.has_spoken and connection.opened_at <= silent_since:
                connection.drop()

    def _add(self, table: Table[Connection], connection: Connection, group: str) -> None:
        if table.is_full:
            self._forget_closed()
        victim = table.add(connection, group)
        if victim is not None:
            victim.drop()

    def _forget_closed(self) -> None:
        for number, connection in list(self._by_file.items()):
            if not connection.is_open:
                self._forget(connection, number)

    def _forget(self, connection: Connection, number: int) -> None:
        del self._by_file[number]
        self._unauthenticated.remove(connection)
        self._devices.remove(connection)

    def _of(self, request: web.Request) -> Connection | None:
        sock = None if request.transport is None else request.transport.get_extra_info("socket")
        return None if sock is None else self._by_file.get(sock.fileno())


CONNECTIONS = web.AppKey("connections", Connections)


class Site(web.BaseSite):
    """One listening socket of a runner, TLS or not."""

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        connections: Connections,
        *,
        backlog: int,
        handshake_s: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Take a bound socket.

        Args:
            runner: Has been set up.
            sock: Listens already, or not yet; closed by `stop`.
            connections: Hears of each connection.
            backlog: Connections the kernel may hold for us.
            handshake_s: Time a TLS handshake may take.
            ssl_context: For TLS.
        """
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        assert runner.server is not None
        self._make_protocol = runner.server
        self._sock = sock
        self._connections = connections
        self._handshake_s = handshake_s if ssl_context else None
        self._close_s = _TLS_CLOSE_S if ssl_context else None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._logged_at = float("-inf")

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
            self._take(sock, _host_of(address))

    def _take(self, sock: socket.socket, host: str) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        connection = self._connections.opened(sock, host, loop.time())
        task = loop.create_task(self._connect(connection), name="connect")
        connection.handshake = task
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)
        task.add_done_callback(partial(_close_unstarted, connection))

    async def _connect(self, connection: Connection) -> None:
        connection.started = True
        loop = asyncio.get_running_loop()
        try:
            connection.transport, _protocol = await loop.connect_accepted_socket(
                self._make_protocol,
                connection.sock,
                ssl=self._ssl_context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._close_s,
            )
        except OSError as exc:
            # It hung up, or speaks no TLS; anybody may do that, so it is no news.
            log.debug("a connection did not come about: %s", exc)

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


def _close_unstarted(connection: Connection, _handshake: asyncio.Task[None]) -> None:
    """Close the socket if the task was cancelled before its first step: nobody else has it."""
    if not connection.started:
        connection.sock.close()
