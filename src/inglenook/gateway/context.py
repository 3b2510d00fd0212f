"""What the door's handlers know of the house behind it. Kind: hands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.network import OwnAddress
from inglenook.engine.interface import EngineState
from inglenook.gateway.pairing import PairingDoor
from inglenook.serving.dispatcher import Dispatcher

Addresses = list[OwnAddress]


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """Who this box is, as phones may know before they are paired.

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
class GatewayContext:
    """Everything the handlers may use.

    Attributes:
        engine_state: Gives the engine's latest state.
        came: Hears that a paired device has come in: it is about to ask.
        asleep: Says whether the model is away until somebody needs it.
        snapshot: Gives the latest ``state`` as docs/protocol.md has it.
        metrics: Gives what ``GET /metrics`` answers.
        addresses: Reads all of the box's addresses anew, those that are never announced too.
        name: Gives the box's name as the network says it: with a number, if another has it, too.
        host_name: Gives the announced name, without ``.local``.
        names: More host names that requests may be addressed to.
        origins: More pages that may call in.
        macs: Hardware addresses that wake the box.
        resume_ttl_s: How long an answer is kept after its end.
        wake: Calls another machine by its name; returns on how many interfaces. Raises LookupError
            for a name it does not know, a Problem if it was called a moment ago, and StartupError
            without a network.
    """

    identity: BoxIdentity
    desk: Dispatcher
    allowlist: Allowlist
    door: PairingDoor
    engine_state: Callable[[], EngineState]
    came: Callable[[], None]
    asleep: Callable[[], bool]
    snapshot: Callable[[], dict[str, Any]]
    metrics: Callable[[], bytes]
    addresses: Callable[[], Coroutine[Any, Any, Addresses]]
    name: Callable[[], str]
    host_name: Callable[[], str]
    names: tuple[str, ...]
    origins: tuple[str, ...]
    macs: tuple[str, ...]
    resume_ttl_s: float
    wake: Callable[[str], Awaitable[int]]


HOUSE = web.AppKey("house", GatewayContext)
