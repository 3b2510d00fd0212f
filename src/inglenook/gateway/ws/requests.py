"""What a paired phone asks on one connection, and what it reads there. No socket. Kind: hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device, Scope
from inglenook.common.errors import Code, Problem
from inglenook.gateway.context import ChatService
from inglenook.gateway.ws.encoder import ResponseReader, error, rewound
from inglenook.protocol.codec import decode
from inglenook.protocol.messages import (
    Auth,
    Cancel,
    Error,
    Generate,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Resume,
    ResumeGone,
    ToPhone,
)
from inglenook.protocol.session import CloseCode, Closing, Session
from inglenook.serving.prefill_ahead import PendingPrefill
from inglenook.serving.response import Response

#: A ping is echoed: with long ones, a phone that never reads would fill the outbox.
PING_CHARACTERS_MAX: Final = 512

#: Responses one connection reads at once.
READINGS_MAX: Final = 64

#: Prefills of one connection whose end it has not been sent.
PREFILLS_MAX: Final = 256


class PhoneRequests:
    """The requests of one connection, once it has authenticated."""

    def __init__(
        self,
        device: Device,
        session: Session,
        chat: ChatService,
        allowlist: Allowlist,
        wake: Callable[[], None],
    ) -> None:
        """Start with nothing asked; ``wake`` is called when there may be something to send."""
        self.device = device
        self._session = session
        self._chat = chat
        self._allowlist = allowlist
        self._wake = wake
        self._readers: dict[str, ResponseReader] = {}
        self._prefills: dict[str, PendingPrefill] = {}

    @property
    def readers(self) -> list[ResponseReader]:
        """The responses that are read here."""
        return list(self._readers.values())

    def reads(self, reader: ResponseReader) -> bool:
        """Whether it is the connection's reader of its response, and none has replaced it."""
        return self._readers.get(reader.response.response_id) is reader

    def handle(self, frame: str, *, now: float, wall_s: float) -> ToPhone | None:
        """Do what a frame asks; returns what is to be sent at once, if anything is.

        Args:
            frame: One message.
            now: Monotonic seconds.
            wall_s: Unix time.

        Raises:
            Problem: If it cannot be done; nothing else is harmed.
            Closing: If the connection has to close.
        """
        message = decode(frame)
        self._session.receive(message)
        self._check_device(wall_s)
        match message:
            case Generate():
                self._generate(message, now)
            case Prepare():
                self._prepare(message)
            case Cancel():
                self._chat.dispatcher.cancel(self._find(message.response_id))
            case Resume():
                return self._resume(message, now)
            case Ping():
                if len(frame) > PING_CHARACTERS_MAX:
                    raise Problem(Code.BAD_REQUEST, "A 'ping' is a short frame.")
                return Pong(message.t)
            case Auth():
                raise AssertionError("the session lets no second auth pass")
        return None

    def ended_prefills(self) -> Iterator[Prepared | Error]:
        """The ends of prefills that have not been sent."""
        for request_id, prefill in list(self._prefills.items()):
            if prefill.over:
                del self._prefills[request_id]
                self._session.release(request_id)
                if prefill.problem is not None:
                    yield error(prefill.problem, request_id)
                else:
                    yield Prepared(request_id, prefill.prompt_tokens, prefill.cached_tokens)

    def stop_reading(self, reader: ResponseReader, now: float) -> None:
        """Follow a response no longer."""
        del self._readers[reader.response.response_id]
        reader.response.unsubscribe(self._wake, now)
        if reader.request_id is not None:
            self._session.release(reader.request_id)

    def close(self, now: float) -> None:
        """The connection is over; responses go on without it."""
        for reader in self._readers.values():
            reader.response.unsubscribe(self._wake, now)
        for prefill in self._prefills.values():
            prefill.stop()

    def _check_device(self, wall_s: float) -> None:
        """See that the device may still be here, with the scopes it has now."""
        known = self._allowlist.roster.get(self.device.device_id)
        if known is None or known.token_sha256 != self.device.token_sha256:
            raise Closing(CloseCode.NOT_AUTHORISED, "revoked")
        if known.expires_at is not None and known.expires_at <= wall_s:
            raise Closing(CloseCode.NOT_AUTHORISED, "expired")
        self.device = known

    def _generate(self, message: Generate, now: float) -> None:
        try:
            self._check_scope()
            if len(self._readers) >= READINGS_MAX:
                raise Problem(Code.RATE_LIMITED, "Too many answers at once on one connection.")
            request = self._chat.parse(message.request)
            response = self._chat.submit(self.device, request, message.idempotency_key)
        except Problem:
            self._session.release(message.id)
            raise
        self._read(ResponseReader(response, request_id=message.id, after=0), now)

    def _prepare(self, message: Prepare) -> None:
        if len(self._prefills) >= PREFILLS_MAX:
            raise Closing(CloseCode.OVERLOADED, "you send but do not read")
        try:
            self._check_scope()
            request = self._chat.parse(message.request, asked=False)
            prefill = self._chat.prepare(self.device, request, self._wake)
        except Problem:
            self._session.release(message.id)
            raise
        self._prefills[message.id] = prefill

    def _check_scope(self) -> None:
        if Scope.CHAT not in self.device.scopes:
            raise Problem(Code.FORBIDDEN, "This device may not ask questions.")

    def _resume(self, message: Resume, now: float) -> ToPhone | None:
        response = self._chat.dispatcher.find(self.device.device_id, message.response_id)
        if response is None:
            return ResumeGone(message.response_id)
        if message.after < 0:
            raise Problem(Code.BAD_REQUEST, "'after' must be the number of a frame, or 0.")
        cut = response.cut_for(message.after)
        after = message.after if cut is None else cut.seq
        self._read(ResponseReader(response, request_id=None, after=after), now)
        return None if cut is None else rewound(response, cut)

    def _read(self, reader: ResponseReader, now: float) -> None:
        """Follow a response from now on; a second look at the same one replaces the first."""
        known = self._readers.get(reader.response.response_id)
        if known is not None:
            self.stop_reading(known, now)
        self._readers[reader.response.response_id] = reader
        reader.response.subscribe(self._wake)
        self._wake()

    def _find(self, response_id: str) -> Response:
        response = self._chat.dispatcher.find(self.device.device_id, response_id)
        if response is None:
            raise Problem(Code.UNKNOWN_RESPONSE, "There is no such response of this device.")
        return response
