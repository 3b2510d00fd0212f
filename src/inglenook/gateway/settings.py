"""What the operator may set about addresses and ports. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass

#: Values of ``host`` that stand for every address, IPv4 and IPv6.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # the household's phones are the point; the token is the lock


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where the box is reached.

    Attributes:
        host: Address to listen on.
        port: Plain HTTP and WebSocket; 0 is off.
        tls_port: The same over TLS; 0 is off.
        extra: More plain ports.
        names: Host names, besides the box's own, that a request may be addressed to.
        origins: Web pages, as ``scheme://host[:port]``, that may call in besides the box's own.
    """

    host: str = EVERYWHERE[0]
    port: int = 8377
    tls_port: int = 8378
    extra: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
