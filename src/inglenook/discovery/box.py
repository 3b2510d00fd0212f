"""What is known of a box found on the network. Kind: rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from inglenook.discovery.advert import (
    FINGERPRINT,
    MAC,
    ONE_DOT_LEADER,
    SERVER_ID,
    Status,
    clean_text,
)

# Enough for any value of ours; what strangers send beyond it is cut.
_VALUE_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Box:
    """A box as it announces itself; whoever needs certainty asks ``/.well-known/inglenook``.

    Everything a stranger could write is free of control characters. What is missing or malformed
    is None, or False.

    Attributes:
        name: Its name as people see it.
        host_name: What resolves to its addresses, such as ``kitchen-ab12.local``.
        server_id: What clients recognise it by: 8 lowercase hex digits.
        addresses: IPv4 first, then IPv6; link-local IPv6, with its zone, last. At least one.
        port: Where it serves HTTP and WebSocket.
        version: The version of its program.
        model: Its model's name.
        status: Whether an answer can start at once, and why not.
        pairing_open: Whether a phone may pair now.
        tls: Whether a TLS port is open too.
        fingerprint: First 16 base64url characters of the SHA-256 of its TLS key.
        mac: The MAC address that wakes it.
    """

    name: str
    host_name: str
    server_id: str | None
    addresses: tuple[str, ...]
    port: int
    version: str | None
    model: str | None
    status: Status | None
    pairing_open: bool
    tls: bool
    fingerprint: str | None
    mac: str | None

    @property
    def url(self) -> str:
        """Where to talk to it: ``http://192.168.1.20:8377`` or ``http://[fd00::1]:8377``."""
        address = self.addresses[0]
        return (
            f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a box answered: its instance name, SRV record, addresses and TXT record."""

    name: str
    host_name: str
    port: int
    addresses: Sequence[str]
    txt: Mapping[bytes, bytes | None]


def read_box(answer: Answer) -> Box | None:
    """Make sense of an answer; None if nobody could connect to what it describes."""
    addresses = _usable(answer.addresses)
    if not addresses or not 0 < answer.port < 65536:
        return None
    # RFC 6763 section 6.4: keys are ASCII in any case, and the first of equal ones counts.
    txt: dict[str, str] = {}
    for key, value in answer.txt.items():
        text = clean_text((value or b"").decode("utf-8", "replace"))[:_VALUE_LIMIT]
        txt.setdefault(key.decode("ascii", "replace").lower(), text)
    server_id, fingerprint, mac = txt.get("id", ""), txt.get("fp", ""), txt.get("mac", "").lower()
    statuses: dict[str, Status] = {status: status for status in get_args(Status)}
    return Box(
        name=clean_text(answer.name).replace(ONE_DOT_LEADER, "."),
        host_name=clean_text(answer.host_name).rstrip("."),
        server_id=server_id if SERVER_ID.fullmatch(server_id) else None,
        addresses=addresses,
        port=answer.port,
        version=txt.get("v") or None,
        model=txt.get("model") or None,
        status=statuses.get(txt.get("st", "")),
        pairing_open=txt.get("pair") == "1",
        tls=txt.get("tls") == "1",
        fingerprint=fingerprint if FINGERPRINT.fullmatch(fingerprint) else None,
        mac=mac if MAC.fullmatch(mac) else None,
    )


def _usable(addresses: Sequence[str]) -> tuple[str, ...]:
    """Put the addresses in the order to try them, without those nobody can connect to."""
    ranked: list[tuple[int, str]] = []
    for text in dict.fromkeys(addresses):
        address = ipaddress.ip_address(text)
        if address.is_unspecified or address.is_multicast:
            continue
        if isinstance(address, ipaddress.IPv4Address):
            ranked.append((0, text))
        elif not address.is_link_local:
            ranked.append((1, text))
        elif address.scope_id:  # without a zone it could be on any link
            ranked.append((2, text))
    return tuple(text for _rank, text in sorted(ranked, key=lambda entry: entry[0]))
