"""A WebSocket with this protocol's settings, and bounds on what waits in it. Kind: hands."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from inglenook.protocol.codec import FRAME_BYTES_MAX
from inglenook.protocol.messages import SUBPROTOCOL
from inglenook.protocol.session import CloseCode

PING_S = 20.0

#: Time for the closing handshake before the socket is dropped, seconds.
CLOSE_S = 1.0

#: Bytes that may wait for one phone in the kernel (which doubles it), and as many in the transport.
#: With the usual megabytes, a phone on bad Wi-Fi would be sent many old small frames instead of one
#: new large one, and 256 phones that do not read would cost a gigabyte.
SEND_BYTES_MAX = 32 * 1024

#: Of one code point.
_UTF8_BYTES_MAX = 4


class PhoneSocket(web.WebSocketResponse):
    """A phone's socket, with bounded buffers."""

    def __init__(self) -> None:
        super().__init__(
            protocols=(SUBPROTOCOL,),
            heartbeat=PING_S,
            # Token frames are too small to gain, and compressing costs a small board dearly.
            compress=False,
            max_msg_size=FRAME_BYTES_MAX,
            timeout=CLOSE_S,
            writer_limit=SEND_BYTES_MAX,
        )
        self._transport: asyncio.Transport | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Shake hands, and bound what may wait to be sent."""
        writer = await super().prepare(request)
        transport = request.transport
        # The library calls this again at the end, when the connection is gone.
        if self._transport is None and transport is not None:
            self._transport = transport
            transport.set_write_buffer_limits(SEND_BYTES_MAX)
            kernel: socket.socket | None = transport.get_extra_info("socket")
            if kernel is not None:
                kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES_MAX)
        return writer

    def takes(self, frame: str) -> bool:
        """Whether a frame can be sent without waiting, as nearly all can, so without a deadline."""
        transport = self._transport
        return (
            transport is not None
            and transport.get_write_buffer_size() == 0
            and len(frame) < SEND_BYTES_MAX // _UTF8_BYTES_MAX
        )

    def drop(self) -> None:
        """Cut the connection; what waits to be sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close; the library's own 1009 becomes this protocol's code for the same."""
        if code == 1009:
            code, message = CloseCode.TOO_LARGE, b"a frame may have 256 KiB"
        return await super().close(code=code, message=message, drain=drain)
