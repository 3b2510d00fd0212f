"""Frames of a phone's WebSocket: sending, receiving, and closing. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

from aiohttp import WSMessage, WSMsgType

from inglenook.gateway.ws.phone_socket import CLOSE_S, PhoneSocket
from inglenook.protocol.codec import encode
from inglenook.protocol.messages import ToPhone
from inglenook.protocol.session import CloseCode, Closing

log = logging.getLogger(__name__)

#: Seconds without a byte taken after which a phone counts as gone; its responses stay.
SEND_S = 15.0

#: Turns of the loop the sending task has to send what has gathered before a connection closes.
_LAST_TURNS = 10

#: RFC 6455, section 5.5.1: a control frame has 125 bytes, two of them for the code.
_REASON_BYTES_MAX = 123


class ConnectionOver(Exception):
    """The connection is over; ends all its tasks."""


class FrameChannel:
    """Sends and receives frames, and closes; `PhoneConnection` runs the tasks."""

    def __init__(self, socket: PhoneSocket) -> None:
        """Take over a socket after its handshake."""
        self._socket = socket
        # Set whenever there is something to send.
        self._wake = asyncio.Event()
        self._closing: Closing | None = None
        self._leave = asyncio.Event()

    @property
    def leaving(self) -> bool:
        """Whether the connection is being closed."""
        return self._closing is not None

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection soon, from outside its tasks."""
        self._closing = Closing(code, reason)
        self._leave.set()

    async def send(self, message: ToPhone) -> None:
        """Send one message; raises as `send_text` does."""
        await self.send_text(encode(message))

    async def send_text(self, frame: str) -> None:
        """Send one frame.

        Raises:
            Leave: If the phone is gone, or takes nothing for `SEND_S`.
        """
        try:
            if self._socket.takes(frame):
                await self._socket.send_str(frame)
            else:
                async with asyncio.timeout(SEND_S):
                    await self._socket.send_str(frame)
        except TimeoutError:
            self._socket.drop()
            self.leave(CloseCode.OVERLOADED, "you do not read")
        except asyncio.CancelledError:
            # The phone takes nothing, so a close frame would wait as well.
            self._socket.drop()
            raise
        except ConnectionError:
            raise ConnectionOver from None

    async def wait_for_leave(self) -> NoReturn:
        """Wait until the connection is to be closed from outside, and raise `ConnectionOver`."""
        await self._leave.wait()
        # What was just added, such as the end of an answer, is still sent if it can be at once.
        for _turn in range(_LAST_TURNS):
            if not self._wake.is_set():
                break
            await asyncio.sleep(0)
        raise ConnectionOver

    async def receive(self) -> str:
        """Wait for a frame; returns its text.

        Raises:
            Leave: If it is the end of the connection, or no text.
        """
        try:
            message: WSMessage = await self._socket.receive()
        except ConnectionError:
            # The library answers pings by itself, which fails if their sender has hung up.
            raise ConnectionOver from None
        if message.type is WSMsgType.TEXT:
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            self.leave(CloseCode.BAD_MESSAGE, "binary frames are not used")
        raise ConnectionOver

    def leave(self, code: CloseCode, reason: str) -> NoReturn:
        """Close with this code; raises `ConnectionOver`."""
        self._closing = Closing(code, reason)
        raise ConnectionOver

    async def hang_up(self) -> None:
        """Close the socket with the code that was set, politely but not for long."""
        closing = self._closing or Closing(CloseCode.GOING_AWAY, "")
        reason = closing.reason.encode()[:_REASON_BYTES_MAX]
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._socket.close(code=closing.code, message=reason)
        except (TimeoutError, ConnectionError):
            log.debug("a phone did not wait for the closing handshake")
