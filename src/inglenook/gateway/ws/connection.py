"""One phone on one WebSocket: a task that listens and the only task that sends. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device
from inglenook.common.errors import Problem
from inglenook.gateway.context import BoxInfo, ChatService
from inglenook.gateway.ws.channel import ConnectionOver, FrameChannel
from inglenook.gateway.ws.encoder import ResponseReader, error
from inglenook.gateway.ws.handshake import authenticate
from inglenook.gateway.ws.phone_socket import PhoneSocket
from inglenook.gateway.ws.requests import READINGS_MAX, PhoneRequests
from inglenook.protocol.codec import FRAME_BYTES_MAX, BadMessage, encode, id_of
from inglenook.protocol.messages import AuthOk, Client, State, ToPhone
from inglenook.protocol.session import CloseCode, Closing, Session

log = logging.getLogger(__name__)

#: Pongs, errors and the like that wait for a phone which sends but does not read.
OUTBOX_MAX: Final = 256


class PhoneConnection(FrameChannel):
    """A connection, from its first frame to its last."""

    def __init__(
        self,
        socket: PhoneSocket,
        box: BoxInfo,
        chat: ChatService,
        allowlist: Allowlist,
        *,
        on_paired: Callable[[PhoneConnection], None],
    ) -> None:
        """Take over a socket after its handshake; ``on_paired`` is called with it authenticated."""
        super().__init__(socket)
        self._box = box
        self._chat = chat
        self._allowlist = allowlist
        self._on_paired = on_paired
        self._session = Session()
        self._requests: PhoneRequests | None = None
        self._outbox: deque[str] = deque()
        self._state_is_news = False

    @property
    def device(self) -> Device | None:
        """Whose it is, once it has authenticated."""
        return None if self._requests is None else self._requests.device

    async def serve(self) -> None:
        """Talk until either side leaves; the phone's responses go on without it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.wait_for_leave(), name="phone-leave")
                requests = await self._greet()
                tasks.create_task(self._listen(requests), name="phone-listen")
                tasks.create_task(self._speak(requests), name="phone-speak")
        except* ConnectionOver:
            pass
        finally:
            self._session.closed()
            if self._requests is not None:
                self._requests.close(asyncio.get_running_loop().time())
            await self.hang_up()

    def tell_state(self) -> None:
        """The box's state has changed; the phone is sent the latest in its turn."""
        self._state_is_news = True
        self._wake.set()

    async def _greet(self) -> PhoneRequests:
        device, client = await authenticate(self, self._session, self._box, self._allowlist)
        requests = self._requests = PhoneRequests(
            device, self._session, self._chat, self._allowlist, self._wake.set
        )
        self._session.authenticated(device.device_id)
        self._on_paired(self)
        self._chat.on_authenticated()
        log.debug("phone %s connected: %s %s", device.device_id, *_program(client))
        ok = AuthOk(
            device.device_id,
            tuple(device.scopes),
            self._chat.resume_ttl_s,
            {
                "frame_bytes": FRAME_BYTES_MAX,
                "readings": READINGS_MAX,
                "request_tokens": self._box.engine_state().request_tokens_max,
            },
            self._box.snapshot(),
        )
        await self.send(ok)
        self._allowlist.touch_soon(device.device_id, datetime.now(UTC).timestamp())
        return requests

    async def _listen(self, requests: PhoneRequests) -> None:
        """Take the phone's frames until it hangs up."""
        loop = asyncio.get_running_loop()
        while True:
            frame = await self.receive()
            try:
                wall_s = datetime.now(UTC).timestamp()
                message = requests.handle(frame, now=loop.time(), wall_s=wall_s)
                if message is not None:
                    self._say(message)
            except BadMessage as problem:
                self.leave(CloseCode.BAD_MESSAGE, problem.text)
            except Problem as problem:
                self._say(error(problem, id_of(frame)))
            except Closing as closing:
                self.leave(closing.code, closing.reason)
            # `receive` does not wait while frames are buffered; let other tasks run.
            await asyncio.sleep(0)

    def _say(self, message: ToPhone) -> None:
        if len(self._outbox) >= OUTBOX_MAX:
            self.leave(CloseCode.OVERLOADED, "you send but do not read")
        # As text, because decoded objects can be far larger.
        self._outbox.append(encode(message))
        self._wake.set()

    async def _speak(self, requests: PhoneRequests) -> None:
        """Send what has gathered since the last turn."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                await self.send_text(self._outbox.popleft())
            if self._state_is_news:
                self._state_is_news = False
                await self.send(State(self._box.snapshot()))
            for reader in requests.readers:
                await self._send_news(requests, reader)
                if reader.over and requests.reads(reader):
                    requests.stop_reading(reader, loop.time())
            for message in requests.ended_prefills():
                await self.send(message)

    async def _send_news(self, requests: PhoneRequests, reader: ResponseReader) -> None:
        for message in reader.take():
            # While the one before was sent, the phone may have asked to read from elsewhere.
            if not requests.reads(reader):
                return
            await self.send(message)


def _program(client: Client) -> tuple[str, str]:
    """What the phone's program calls itself, fit for a log line."""
    return ascii(client.name[:40]), ascii(client.version[:20])
