"""Open connections: how many there are, and how long a request's head may be. Kind: hands."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from inglenook.gateway.connection_table import (
    DEVICE_HTTP_MAX,
    DEVICE_HTTP_SHARE,
    UNAUTHENTICATED_MAX,
    UNAUTHENTICATED_SHARE,
    ConnectionTable,
    peer_group,
)

#: Read at once of a body or of frames, and of a request's head. asyncio reads 256 KiB; what the
#: library makes of a malformed request holds all that was read, several times over, until the
#: garbage collector runs, which after a thousand such requests was 1.9 GB.
_READ_BYTES = 32 * 1024
_HEAD_READ_BYTES = 4 * 1024

#: Bytes of a head, and of what follows it before its handler runs.
HEAD_BYTES_MAX = 64 * 1024

#: Filled and emptied within one turn of the loop, so one is enough for all connections.
_buffer: Final = memoryview(bytearray(_READ_BYTES))


class ClientTransport(asyncio.BufferedProtocol):
    """A connection between its transport and the library's handler.

    Attributes:
        opened_at: Monotonic seconds.
        has_spoken: A whole request head has been received.
        handshake: Runs until there is a transport.
        has_socket: The socket has been handed to it.
    """

    def __init__(
        self, connections: ClientTransports, handler: asyncio.Protocol, now: float
    ) -> None:
        """Pass on to ``handler``; ``connections`` is told of the end."""
        self.opened_at = now
        self.has_spoken = False
        self.handshake: asyncio.Task[None] | None = None
        self.has_socket = False
        self._connections = connections
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._in_request = False
        self._head_bytes = 0

    def drop(self) -> None:
        """Cut it; what waits to be sent is lost."""
        if self._transport is not None:
            self._transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def request_began(self) -> None:
        """A whole request head has been received."""
        self.has_spoken = self._in_request = True

    def request_ended(self) -> None:
        """The next head may follow."""
        self._in_request = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is there, and TLS where there is any."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._handler.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the buffer to read into."""
        return _buffer if self._in_request else _buffer[:_HEAD_READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read, unless a head has no end."""
        if not self._in_request:
            self._head_bytes += nbytes
            if self._head_bytes > HEAD_BYTES_MAX:
                self.drop()
                return
        self._handler.data_received(bytes(_buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        try:
            self._connections.closed(self)
        finally:
            self._handler.connection_lost(exc)


class ClientTransports:
    """The open connections of all ports: those of strangers, and of paired devices by HTTP.

    WebSockets that have authenticated are in neither table; `gateway.ws.connections` bounds them.
    """

    def __init__(self) -> None:
        self._unauthenticated: ConnectionTable[ClientTransport] = ConnectionTable(
            UNAUTHENTICATED_MAX, UNAUTHENTICATED_SHARE
        )
        self._devices: ConnectionTable[ClientTransport] = ConnectionTable(
            DEVICE_HTTP_MAX, DEVICE_HTTP_SHARE
        )

    @property
    def unauthenticated(self) -> int:
        """Connections on which no token has been shown."""
        return len(self._unauthenticated)

    def opened(self, connection: ClientTransport, host: str) -> None:
        """Add a connection that was just accepted; another may be dropped for it."""
        _add(self._unauthenticated, connection, peer_group(host))

    def closed(self, connection: ClientTransport) -> None:
        """Forget a connection."""
        self._unauthenticated.remove(connection)
        self._devices.remove(connection)

    def authenticated(self, request: web.Request, device_id: str) -> None:
        """A request with a device's token was received on this connection."""
        connection = connection_of(request)
        if connection is not None and connection not in self._devices:
            self._unauthenticated.remove(connection)
            _add(self._devices, connection, device_id)

    def became_websocket(self, request: web.Request) -> None:
        """A WebSocket has authenticated on this connection."""
        connection = connection_of(request)
        if connection is not None:
            self.closed(connection)

    def make_room(self) -> None:
        """Drop one unauthenticated connection, if there is any."""
        victim = self._unauthenticated.pop_oldest()
        if victim is not None:
            victim.drop()

    def sweep(self, silent_since: float) -> None:
        """Drop connections that were open by ``silent_since`` and have sent no request."""
        for connection in list(self._unauthenticated):
            if not connection.has_spoken and connection.opened_at <= silent_since:
                connection.drop()


CONNECTIONS = web.AppKey("connections", ClientTransports)


def connection_of(request: web.Request) -> ClientTransport | None:
    """The connection of a request, if `gateway.acceptor` accepted it."""
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, ClientTransport) else None


def _add(table: ConnectionTable[ClientTransport], connection: ClientTransport, group: str) -> None:
    victim = table.add(connection, group)
    if victim is not None:
        victim.drop()
