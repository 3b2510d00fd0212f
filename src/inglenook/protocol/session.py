"""The phases of one connection, and the messages allowed in each. Kind: rules."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from inglenook.common.errors import InglenookError
from inglenook.protocol.messages import Auth, Cancel, FromPhone, Generate, Ping, Prepare, Resume


class CloseCode(IntEnum):
    """Every code a connection is closed with; those below 4000 are in RFC 6455's registry."""

    GOING_AWAY = 1001
    FAULT = 1011
    RESTARTING = 1012
    OVERLOADED = 1013
    BAD_MESSAGE = 4400
    NOT_AUTHORISED = 4401
    FORBIDDEN_ORIGIN = 4403
    AUTH_TIMEOUT = 4408
    ID_IN_USE = 4409
    TOO_LARGE = 4413
    TOO_MANY = 4429


class Closing(InglenookError):
    """The connection has to close; ``reason`` is at most 123 bytes, as RFC 6455 allows."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class SessionPhase(StrEnum):
    """Where a connection is."""

    GREETED = "greeted"
    PAIRED = "paired"
    CLOSED = "closed"


#: The messages a phone may send in each phase. A test holds docs/protocol.md's diagram to it.
ALLOWED: dict[SessionPhase, tuple[type, ...]] = {
    SessionPhase.GREETED: (Auth,),
    SessionPhase.PAIRED: (Generate, Prepare, Cancel, Resume, Ping),
    SessionPhase.CLOSED: (),
}

#: From which phase to which, and why.
TRANSITIONS: dict[tuple[SessionPhase, SessionPhase], str] = {
    (SessionPhase.GREETED, SessionPhase.PAIRED): "auth_ok",
    (SessionPhase.GREETED, SessionPhase.CLOSED): "auth_invalid, timeout or hang-up",
    (SessionPhase.PAIRED, SessionPhase.CLOSED): "hang-up, revoked, bad message or restart",
}


class Session:
    """The phase of one connection; refuses messages that do not belong there.

    Attributes:
        phase: Where the connection is.
        device_id: The device's, once it has authenticated.
    """

    def __init__(self) -> None:
        self.phase = SessionPhase.GREETED
        self.device_id = ""
        self._ids: set[str] = set()

    def receive(self, message: FromPhone) -> None:
        """Check that ``message`` is allowed now.

        Raises:
            Closing: If it may not.
        """
        if not isinstance(message, ALLOWED[self.phase]):
            if self.phase is SessionPhase.GREETED:
                raise Closing(CloseCode.NOT_AUTHORISED, "the first message must be auth")
            raise Closing(CloseCode.BAD_MESSAGE, "auth was already given")
        if isinstance(message, Generate | Prepare):
            if message.id in self._ids:
                raise Closing(CloseCode.ID_IN_USE, "that id is in use")
            self._ids.add(message.id)

    def authenticated(self, device_id: str) -> None:
        """The token was good."""
        self._move(SessionPhase.PAIRED)
        self.device_id = device_id

    def release(self, request_id: str) -> None:
        """A request is over; its id may be used again."""
        self._ids.discard(request_id)

    def closed(self) -> None:
        """The connection is over."""
        if self.phase is not SessionPhase.CLOSED:
            self._move(SessionPhase.CLOSED)

    def _move(self, phase: SessionPhase) -> None:
        assert (self.phase, phase) in TRANSITIONS
        self.phase = phase
