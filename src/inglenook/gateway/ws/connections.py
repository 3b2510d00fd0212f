"""All WebSocket connections, and how many there may be. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from aiohttp import web

from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.gateway.context import ACCESS, BOX, CHAT
from inglenook.gateway.transports import CONNECTIONS
from inglenook.gateway.ws.connection import PhoneConnection
from inglenook.gateway.ws.phone_socket import PhoneSocket
from inglenook.protocol.session import CloseCode

log = logging.getLogger(__name__)

#: Of paired devices, some 50 KiB each, so 25 MiB in all. One device, as with an app that never
#: hangs up, gets half. Those that have not authenticated are bounded by `gateway.transports`.
SOCKETS_MAX = 512
SOCKETS_PER_DEVICE_MAX = 256


class PhoneConnections:
    """The open connections."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """``on_change`` is called, synchronously, when a connection opens or closes."""
        self._on_change = on_change
        self._telling = Guard("news of a connection")
        self._serving = TaskGuard("a connection")
        self._phones: set[PhoneConnection] = set()
        self._all_gone = asyncio.Event()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._phones)

    @property
    def known(self) -> int:
        """How many of them have authenticated."""
        return sum(phone.device is not None for phone in self._phones)

    @property
    def tokens(self) -> dict[str, str]:
        """The token hashes that devices have authenticated with, by device id.

        Connections that are being closed do not count.
        """
        open_now = [phone for phone in self._phones if not phone.leaving]
        devices = [phone.device for phone in open_now if phone.device is not None]
        return {device.device_id: device.token_sha256 for device in devices}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle ``GET /ws``."""
        socket = PhoneSocket()
        # If it hangs up in the middle of the handshake, `gateway.guard` takes the ConnectionError:
        # a socket that is half prepared cannot be returned.
        await socket.prepare(request)
        if self._stopping:
            await socket.close(code=CloseCode.RESTARTING, message=b"restarting")
            return socket
        app = request.app
        phone = PhoneConnection(
            socket,
            app[BOX],
            app[CHAT],
            app[ACCESS].allowlist,
            on_paired=partial(self._paired, request),
        )
        self._phones.add(phone)
        self._changed()
        failed = True
        try:
            # A bug here costs one phone only.
            with self._serving:
                await phone.serve()
                failed = False
            if failed:
                await socket.close(code=CloseCode.FAULT, message=b"internal")
        finally:
            self._phones.discard(phone)
            self._changed()
            if not self._phones:
                self._all_gone.set()
        return socket

    def tell_state(self) -> None:
        """Send the latest state on every connection."""
        for phone in self._phones:
            phone.tell_state()

    def drop(self, device_id: str) -> None:
        """Close the connections of a device that was revoked."""
        for phone in self._phones:
            if phone.device is not None and phone.device.device_id == device_id:
                phone.close(CloseCode.NOT_AUTHORISED, "revoked")

    def send_away(self) -> None:
        """Close every connection for a restart, and accept no new ones."""
        self._stopping = True
        for phone in self._phones:
            phone.close(CloseCode.RESTARTING, "restarting")

    async def close(self, timeout_s: float) -> None:
        """Close every connection for a restart, and wait until all are closed."""
        self._all_gone.clear()
        self.send_away()
        try:
            async with asyncio.timeout(timeout_s):
                while self._phones:
                    await self._all_gone.wait()
        except TimeoutError:
            log.debug("%d connections did not close in time", len(self._phones))

    def _changed(self) -> None:
        with self._telling:
            self._on_change()

    def _paired(self, request: web.Request, phone: PhoneConnection) -> None:
        """Enforce the bounds on connections, of one device and of all."""
        assert phone.device is not None
        connections = request.app.get(CONNECTIONS)
        if connections is not None:
            connections.became_websocket(request)
        if self.known > SOCKETS_MAX:
            phone.close(CloseCode.TOO_MANY, "too many connections")
            return
        device_id = phone.device.device_id
        own = [p for p in self._phones if p.device is not None and p.device.device_id == device_id]
        if len(own) > SOCKETS_PER_DEVICE_MAX:
            phone.close(CloseCode.TOO_MANY, "too many connections of this device")
