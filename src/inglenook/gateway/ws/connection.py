"""One phone on one WebSocket: a task that listens and the only task that speaks. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from inglenook.auth.devices import Device, Scope
from inglenook.common.errors import Code, Problem
from inglenook.gateway.context import GatewayContext
from inglenook.gateway.weight import weight_of
from inglenook.gateway.ws.channel import ConnectionOver, FrameChannel
from inglenook.gateway.ws.phone_socket import PhoneSocket
from inglenook.gateway.ws.reader import ResponseReader
from inglenook.protocol.codec import FRAME_BYTES_MAX, BadMessage, decode, encode, id_of
from inglenook.protocol.messages import (
    Auth,
    AuthInvalid,
    AuthOk,
    AuthRequired,
    Cancel,
    Error,
    Generate,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Resume,
    ResumeGone,
    Rewound,
    State,
    ToPhone,
)
from inglenook.protocol.session import CloseCode, Closing, Session
from inglenook.serving.prefill_ahead import PendingPrefill
from inglenook.serving.response import Response

log = logging.getLogger(__name__)

AUTH_S = 10.0

#: Of a first frame: what is longer is not read at all, since strangers send it.
AUTH_CHARACTERS_MAX = 4096

#: Pongs, errors and the like that wait for a phone which sends but does not read; and as many
#: ends of what it had read ahead.
OUTBOX_MAX = 256

#: A ping comes back as it is: with long ones, a phone that never reads would fill the outbox.
PING_CHARACTERS_MAX = 512

#: Responses one connection reads at once.
READINGS_MAX = 64


class PhoneConnection(FrameChannel):
    """A connection, from its first frame to its last."""

    def __init__(
        self,
        house: GatewayContext,
        socket: PhoneSocket,
        *,
        on_paired: Callable[[PhoneConnection], None],
    ) -> None:
        """Take over a socket after its handshake; ``on_paired`` hears when `device` is known."""
        super().__init__(socket)
        self.device: Device | None = None
        self._house = house
        self._on_paired = on_paired
        self._session = Session()
        self._readings: dict[str, ResponseReader] = {}
        self._preparations: dict[str, PendingPrefill] = {}
        self._outbox: deque[str] = deque()
        self._state_is_news = False

    async def serve(self) -> None:
        """Talk until either side leaves. What is being written for the phone goes on without it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.wait_for_leave(), name="phone-leave")
                await self._greet()
                tasks.create_task(self._listen(), name="phone-listen")
                tasks.create_task(self._speak(), name="phone-speak")
        except* ConnectionOver:
            pass
        finally:
            self._session.closed()
            now = asyncio.get_running_loop().time()
            for reading in self._readings.values():
                reading.response.unsubscribe(self._wake.set, now)
            for preparation in self._preparations.values():
                self._house.desk.stop_preparing(preparation)
            await self.hang_up()

    def tell_state(self) -> None:
        """There is a new state of the box; the phone hears the latest when it is its turn."""
        self._state_is_news = True
        self._wake.set()

    async def _greet(self) -> None:
        """Ask who it is, and believe only a token."""
        house = self._house
        await self.send(AuthRequired(house.identity.server_id, house.name()))
        try:
            async with asyncio.timeout(AUTH_S):
                frame = await self.hear()
        except TimeoutError:
            self.part(CloseCode.AUTH_TIMEOUT, "no auth within 10 seconds")
        try:
            if len(frame) > AUTH_CHARACTERS_MAX:
                raise Problem(Code.BAD_REQUEST, "An 'auth' is a short frame.")
            auth = decode(frame)
            self._session.heard(auth)
        except BadMessage as problem:
            self.part(CloseCode.BAD_MESSAGE, problem.text)
        except Problem as problem:
            text = f"The first message must be 'auth'. {problem.text}"
            await self._refuse(Problem(Code.NOT_PAIRED, text))
        except Closing:
            await self._refuse(Problem(Code.NOT_PAIRED, "The first message must be 'auth'."))
        assert isinstance(auth, Auth), "the session lets nothing else pass"
        now = datetime.now(UTC).timestamp()
        verdict = await self._house.allowlist.check_fresh(auth.token, now)
        if isinstance(verdict, Problem):
            await self._refuse(verdict)
        else:
            await self._welcome(verdict, auth)
            self._house.allowlist.touch_soon(verdict.device_id, now)

    async def _welcome(self, device: Device, auth: Auth) -> None:
        self.device = device
        self._session.paired(device.device_id)
        self._on_paired(self)
        self._house.came()
        log.debug("phone %s connected: %s %s", device.device_id, *_program(auth))
        ok = AuthOk(
            device.device_id,
            tuple(device.scopes),
            self._house.resume_ttl_s,
            {
                "frame_bytes": FRAME_BYTES_MAX,
                "readings": READINGS_MAX,
                "request_tokens": self._house.engine_state().request_tokens_max,
            },
            self._house.snapshot(),
        )
        await self.send(ok)

    async def _refuse(self, problem: Problem) -> NoReturn:
        if problem.code is Code.INTERNAL:
            # The box's own fault: a phone that is told to be unknown forgets its token.
            self.part(CloseCode.FAULT, problem.code)
        await self.send(AuthInvalid(problem.code, problem.text))
        self.part(CloseCode.NOT_AUTHORISED, problem.code)

    async def _listen(self) -> None:
        """Hear the phone out until it hangs up."""
        while True:
            frame = await self.hear()
            try:
                self._heard(frame)
            except BadMessage as problem:
                self.part(CloseCode.BAD_MESSAGE, problem.text)
            except Problem as problem:
                self._say(_error(problem, id_of(frame)))
            except Closing as closing:
                self.part(closing.code, closing.reason)
            # Frames that have come already are had without waiting; others have a turn too.
            await asyncio.sleep(0)

    def _heard(self, frame: str) -> None:
        message = decode(frame)
        self._session.heard(message)
        self._check_device()
        match message:
            case Generate():
                self._generate(message)
            case Prepare():
                self._prepare(message)
            case Cancel():
                self._house.desk.cancel(self._find(message.response_id))
            case Resume():
                self._resume(message)
            case Ping():
                if len(frame) > PING_CHARACTERS_MAX:
                    raise Problem(Code.BAD_REQUEST, "A 'ping' is a short frame.")
                self._say(Pong(message.t))
            case Auth():
                raise AssertionError("the session lets no second auth pass")

    def _check_device(self) -> None:
        """See that the device may still be here, with the scopes it has now."""
        assert self.device is not None
        known = self._house.allowlist.roster.get(self.device.device_id)
        if known is None or known.token_sha256 != self.device.token_sha256:
            self.part(CloseCode.NOT_AUTHORISED, "revoked")
        if known.expires_at is not None and known.expires_at <= datetime.now(UTC).timestamp():
            self.part(CloseCode.NOT_AUTHORISED, "expired")
        self.device = known

    def _generate(self, message: Generate) -> None:
        assert self.device is not None
        try:
            self._check_scope(self.device)
            if len(self._readings) >= READINGS_MAX:
                raise Problem(Code.RATE_LIMITED, "Too many answers at once on one connection.")
            response = self._house.desk.submit(
                self.device.device_id,
                message.request,
                message.idempotency_key,
                weight=weight_of(self.device),
                thinking=self.device.thinking,
            )
        except Problem:
            self._session.answered(message.id)
            raise
        self._read(ResponseReader(response, request_id=message.id, after=0))

    def _prepare(self, message: Prepare) -> None:
        assert self.device is not None
        if len(self._preparations) >= OUTBOX_MAX:
            self.part(CloseCode.OVERLOADED, "you send but do not read")
        try:
            self._check_scope(self.device)
            preparation = self._house.desk.prepare(
                self.device.device_id,
                message.request,
                self._wake.set,
                thinking=self.device.thinking,
            )
        except Problem:
            self._session.answered(message.id)
            raise
        self._preparations[message.id] = preparation

    def _check_scope(self, device: Device) -> None:
        if Scope.CHAT not in device.scopes:
            raise Problem(Code.FORBIDDEN, "This device may not ask questions.")

    def _resume(self, message: Resume) -> None:
        assert self.device is not None
        response = self._house.desk.find(self.device.device_id, message.response_id)
        if response is None:
            self._say(ResumeGone(message.response_id))
            return
        if message.after < 0:
            raise Problem(Code.BAD_REQUEST, "'after' must be the number of a frame, or 0.")
        cut = response.cut_for(message.after)
        if cut is not None:
            offsets = {str(channel): offset for channel, offset in cut.offsets.items()}
            self._say(Rewound(message.response_id, cut.seq, offsets))
        after = message.after if cut is None else cut.seq
        self._read(ResponseReader(response, request_id=None, after=after))

    def _read(self, reading: ResponseReader) -> None:
        """Follow a response from now on; a second look at the same one replaces the first."""
        known = self._readings.get(reading.response.response_id)
        if known is not None:
            self._stop_reading(known)
        self._readings[reading.response.response_id] = reading
        reading.response.subscribe(self._wake.set)
        self._wake.set()

    def _stop_reading(self, reading: ResponseReader) -> None:
        del self._readings[reading.response.response_id]
        now = asyncio.get_running_loop().time()
        reading.response.unsubscribe(self._wake.set, now)
        if reading.request_id is not None:
            self._session.answered(reading.request_id)

    def _find(self, response_id: str) -> Response:
        assert self.device is not None
        response = self._house.desk.find(self.device.device_id, response_id)
        if response is None:
            raise Problem(Code.UNKNOWN_RESPONSE, "There is no such response of this device.")
        return response

    def _say(self, message: ToPhone) -> None:
        if len(self._outbox) >= OUTBOX_MAX:
            self.part(CloseCode.OVERLOADED, "you send but do not read")
        # As text: what a phone had us decode can be far larger as objects.
        self._outbox.append(encode(message))
        self._wake.set()

    async def _speak(self) -> None:
        """Send whatever has gathered, whenever something has."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                await self.send_text(self._outbox.popleft())
            if self._state_is_news:
                self._state_is_news = False
                await self.send(State(self._house.snapshot()))
            for reading in list(self._readings.values()):
                await self._tell(reading)
                if reading.over and self._follows(reading):
                    self._stop_reading(reading)
            for request_id, preparation in list(self._preparations.items()):
                if preparation.over:
                    del self._preparations[request_id]
                    self._session.answered(request_id)
                    await self.send(_end_of(preparation, request_id))

    async def _tell(self, reading: ResponseReader) -> None:
        for message in reading.take():
            # While the one before was sent, the phone may have asked to read from elsewhere.
            if not self._follows(reading):
                return
            await self.send(message)

    def _follows(self, reading: ResponseReader) -> bool:
        return self._readings.get(reading.response.response_id) is reading


def _error(problem: Problem, request_id: str | None) -> Error:
    return Error(problem.code, problem.text, request_id, problem.retry_after_s)


def _end_of(preparation: PendingPrefill, request_id: str) -> Prepared | Error:
    if preparation.problem is not None:
        return _error(preparation.problem, request_id)
    return Prepared(request_id, preparation.prompt_tokens, preparation.cached_tokens)


def _program(auth: Auth) -> tuple[str, str]:
    """What the phone's program calls itself, fit for a log line."""
    name, version = auth.client.name[:40], auth.client.version[:20]
    return ascii(name), ascii(version)
