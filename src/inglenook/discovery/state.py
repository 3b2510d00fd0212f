"""State of the announcement, with a sentence for people. Kind: rules."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_REASONS = {
    errno.EADDRINUSE: "another program holds UDP port 5353 for itself; stop it, or let it share the"
    " port (for Avahi: `disallow-other-stacks=no` in /etc/avahi/avahi-daemon.conf)",
    errno.EACCES: "the system does not let this program use UDP port 5353; allow multicast DNS in"
    " the firewall and in the service's sandbox",
    errno.ENODEV: "no network interface with an address is up; plug in a cable or join a Wi-Fi"
    " network",
}
_REASONS[errno.EPERM] = _REASONS[errno.EACCES]
for _code in (errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH):
    _REASONS[_code] = _REASONS[errno.ENODEV]


@dataclass(frozen=True, slots=True)
class AnnounceState:
    """Whether phones can find the box by themselves.

    Attributes:
        kind: ``ready``, ``degraded`` (tried again by itself) or ``off`` (by the operator's choice).
        sentence: The same for people, with what to do.
    """

    kind: Literal["ready", "degraded", "off"]
    sentence: str


STARTING = AnnounceState("degraded", "not announced yet: asking the network for a free name")
FAILED = AnnounceState(
    "degraded", "not announced: an unexpected error, which the log has; it is tried again"
)
OFF = AnnounceState(
    "off",
    "not announced, as `discovery.enabled` is false; set it to true if phones are to find this box"
    " by themselves",
)


def announced(
    name: str, host_name: str, interfaces: Sequence[str], silent: Sequence[str] = ()
) -> AnnounceState:
    """Describe a box that phones can find.

    Args:
        name: Its name on the network.
        host_name: Its host name, without ``.local``.
        interfaces: Interfaces on which it is announced.
        silent: Those where its own announcement did not come back, so that it does not receive
            phones' questions either.
    """
    spoken = f'announced as "{name}" ({host_name}.local) on {", ".join(interfaces)}'
    if not silent:
        return AnnounceState("ready", spoken)
    where = "" if list(silent) == list(interfaces) else f" on {', '.join(silent)}"
    return AnnounceState(
        "degraded",
        f"{spoken}, but its own announcement was not heard{where}: a firewall seems to drop UDP"
        " port 5353; allow it",
    )


def degraded(error: Exception) -> AnnounceState:
    """Describe a box whose address has to be typed into phones."""
    return AnnounceState("degraded", f"not announced: {reason(error)}")


def reason(error: Exception) -> str:
    """Return why mDNS cannot be used and what to do, without a full stop."""
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    detail = "it took too long" if isinstance(error, TimeoutError) else error
    return f"mDNS failed ({detail}); look at the network and at UDP port 5353"
