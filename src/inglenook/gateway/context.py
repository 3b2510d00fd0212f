"""What the doors' handlers may use, split by who needs what. Kind: hands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device, Scope
from inglenook.auth.network import OwnAddress
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.common.errors import Problem
from inglenook.engine.interface import EngineState
from inglenook.gateway.pairing import PairingDoor
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.prefill_ahead import PendingPrefill
from inglenook.serving.response import Response

Addresses = list[OwnAddress]

#: A device's share of service when the box is busy; one that looks after the box gets twice that.
_WEIGHT: Final = 1.0
_ADMIN_WEIGHT: Final = 2.0


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """The box's identity, as phones may know it before they are paired.

    Attributes:
        server_id: 8 hex digits, forever the same.
        name: As its owner calls it.
        version: Of this program.
        host: Address it listens on.
        port: Of plain HTTP; 0 is off.
        tls_port: Of HTTPS; 0 is off.
        spki_sha256: Fingerprint of the TLS key, if there is a TLS port.
        run_id: Of this process, 8 hex digits: tells a box from one whose SD card is a copy of its.
    """

    server_id: str
    name: str
    version: str
    host: str
    port: int
    tls_port: int
    spki_sha256: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class BoxInfo:
    """The box's identity, addresses and state.

    Attributes:
        engine_state: Gives the engine's latest state.
        asleep: Tells whether the model is unloaded until a request needs it.
        snapshot: Gives the latest ``state`` as docs/protocol.md has it.
        addresses: Reads all of the box's addresses anew, including those never announced.
        name: Gives the announced name: with a number, if another box has the same.
        host_name: Gives the announced host name, without ``.local``.
        macs: Hardware addresses that wake the box.
    """

    identity: BoxIdentity
    engine_state: Callable[[], EngineState]
    asleep: Callable[[], bool]
    snapshot: Callable[[], dict[str, Any]]
    addresses: Callable[[], Coroutine[Any, Any, Addresses]]
    name: Callable[[], str]
    host_name: Callable[[], str]
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Which devices and pages may connect.

    Attributes:
        allowlist: The paired devices.
        pairing: Pairs new ones.
        names: More host names that requests may be addressed to.
        origins: More pages that may call the box.
    """

    allowlist: Allowlist
    pairing: PairingDoor
    names: tuple[str, ...]
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChatService:
    """The requests of paired devices, which a door has parsed, and their responses.

    Attributes:
        on_authenticated: Called when a paired device authenticates; a request is likely to follow.
        resume_ttl_s: How long a response is kept after its end, seconds.
    """

    dispatcher: Dispatcher
    on_authenticated: Callable[[], None]
    resume_ttl_s: float

    @property
    def refusal(self) -> Problem | None:
        """Why requests are refused now; None while they are taken."""
        return self.dispatcher.refusal

    def parse(self, body: Any, *, asked: bool = True) -> ChatRequest:
        """Check an OpenAI chat body; raises as `parse_chat_request` does."""
        tools = self.dispatcher.capabilities.tools
        return parse_chat_request(body, asked=asked, tools=tools)

    def submit(
        self, device: Device, request: ChatRequest, idempotency_key: str | None = None
    ) -> Response:
        """Take a request in; raises as `Dispatcher.submit` does."""
        weight = _ADMIN_WEIGHT if Scope.ADMIN in device.scopes else _WEIGHT
        return self.dispatcher.submit(
            device.device_id, request, idempotency_key, weight=weight, thinking=device.thinking
        )

    def prepare(
        self, device: Device, request: ChatRequest, on_over: Callable[[], None]
    ) -> PendingPrefill:
        """Prefill a request that is likely to come; raises as `Dispatcher.prepare` does."""
        return self.dispatcher.prepare(device.device_id, request, on_over, thinking=device.thinking)


BOX: Final = web.AppKey("box", BoxInfo)
ACCESS: Final = web.AppKey("access", Access)
CHAT: Final = web.AppKey("chat", ChatService)
METRICS: Final[web.AppKey[Callable[[], bytes]]] = web.AppKey("metrics")
WAKE: Final[web.AppKey[Callable[[str], Awaitable[int]]]] = web.AppKey("wake")


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """All of it, for the application that serves the network.

    Attributes:
        metrics: Gives what ``GET /metrics`` answers.
        wake: Wakes another machine by its name; returns on how many interfaces it called. Raises
            LookupError for an unknown name, a Problem if it was called a moment ago, and
            StartupError without a network.
    """

    box: BoxInfo
    access: Access
    chat: ChatService
    metrics: Callable[[], bytes]
    wake: Callable[[str], Awaitable[int]]

    def install(self, app: web.Application) -> None:
        """Give each part to the handlers that ask for it."""
        app[BOX] = self.box
        app[ACCESS] = self.access
        app[CHAT] = self.chat
        app[METRICS] = self.metrics
        app[WAKE] = self.wake
