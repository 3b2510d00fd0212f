"""A box found on the network, read from its mDNS records. Kind: rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from inglenook.common.network_cards import MAC
from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import (
    FINGERPRINT,
    ONE_DOT_LEADER,
    SERVER_ID,
    Status,
    clean_text,
)

# Enough for any value of ours; longer ones, from strangers, are cut.
_VALUE_LIMIT = 64

#: Of one box; their names fit into one TXT record.
_MODELS_MAX = 16

#: Of one box; a household's has a few, on two networks and by IPv4 and IPv6.
_ADDRESSES_MAX = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Box:
    """A box's own announcement; to verify it, ask ``/.well-known/inglenook``.

    All texts are free of control characters, because strangers may write them. Missing and
    malformed values are None, or False.

    Attributes:
        name: Its name for people.
        host_name: Its host name, such as ``kitchen-ab12.local``.
        server_id: The id by which clients recognise it: 8 lowercase hex digits.
        addresses: Those in this machine's networks first; of each, IPv4 before IPv6; link-local
            IPv6, with its zone, last. At least one.
        port: Port of HTTP and WebSocket.
        version: The version of its program.
        models: Names of its models, the default one first; as many as it announced.
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
    models: tuple[str, ...]
    status: Status | None
    pairing_open: bool
    tls: bool
    fingerprint: str | None
    mac: str | None

    @property
    def urls(self) -> tuple[str, ...]:
        """Its URLs, best first: ``http://192.168.1.20:8377``, ``http://[fd00::1]:8377``."""
        hosts = (f"[{address}]" if ":" in address else address for address in self.addresses)
        return tuple(f"http://{host}:{self.port}" for host in hosts)


@dataclass(frozen=True, slots=True)
class MdnsAnswer:
    """A box's answer: its instance name, SRV record, addresses and TXT record."""

    name: str
    host_name: str
    port: int
    addresses: Sequence[str]
    txt: Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class BoxHello:
    """A box's public facts, from ``/.well-known/inglenook``; not authenticated.

    Attributes:
        server_id: The id by which it is recognised.
        name: Its name for people.
        tls_port: Its TLS port; 0 is none.
        spki_sha256: Fingerprint of its TLS key, 43 characters of base64url.
        run_id: Id of the process, 8 hex digits: the same at all its addresses, and different for
            two boxes with one ``server_id``, as after copying an SD card. None from older versions.
    """

    server_id: str
    name: str
    tls_port: int = 0
    spki_sha256: str | None = None
    run_id: str | None = None


def networks_of(addresses: Iterable[InterfaceAddress]) -> list[Network]:
    """Return the networks of a machine with these addresses, without link-local IPv6."""
    return [
        ipaddress.ip_interface(f"{entry.address}/{entry.prefix_length}").network
        for entry in addresses
        if not (entry.is_ipv6 and entry.is_link_local)
    ]


def read_box(answer: MdnsAnswer, own_networks: Sequence[Network] = ()) -> Box | None:
    """Read an answer; None if it has no address or port to connect to.

    Args:
        answer: As received.
        own_networks: Networks of this machine: a box on two networks may announce addresses in
            both, and some may not be reachable from here (RFC 6762 section 6.2 forbids it).
    """
    addresses = _usable(answer.addresses, own_networks)
    if not addresses or not 0 < answer.port < 65536:
        return None
    # RFC 6763 section 6.4: keys are ASCII in any case, and the first of equal ones counts.
    txt: dict[str, str] = {}
    for key, value in answer.txt.items():
        text = clean_text((value or b"").decode("utf-8", "replace"))
        txt.setdefault(key.decode("ascii", "replace").lower(), text)
    names = [name.strip() for name in txt.pop("models", "").split(",")][:_MODELS_MAX]
    txt = {key: text[:_VALUE_LIMIT] for key, text in txt.items()}
    # Earlier versions, and boxes whose TXT record is full, announce their first model only.
    models = tuple(name[:_VALUE_LIMIT] for name in names if name) or (txt.get("model", ""),)
    server_id, fingerprint, mac = txt.get("id", ""), txt.get("fp", ""), txt.get("mac", "").lower()
    statuses: dict[str, Status] = {status: status for status in get_args(Status)}
    return Box(
        name=clean_text(answer.name).replace(ONE_DOT_LEADER, "."),
        host_name=clean_text(answer.host_name).rstrip("."),
        server_id=server_id if SERVER_ID.fullmatch(server_id) else None,
        addresses=addresses,
        port=answer.port,
        version=txt.get("v") or None,
        models=tuple(filter(None, models)),
        status=statuses.get(txt.get("st", "")),
        pairing_open=txt.get("pair") == "1",
        tls=txt.get("tls") == "1",
        fingerprint=fingerprint if FINGERPRINT.fullmatch(fingerprint) else None,
        mac=mac if MAC.fullmatch(mac) else None,
    )


def _usable(addresses: Sequence[str], own_networks: Sequence[Network]) -> tuple[str, ...]:
    """Return the addresses in the order to try them, without unusable ones."""
    ranked: list[tuple[bool, int, str]] = []
    for text in dict.fromkeys(addresses):
        address = ipaddress.ip_address(text)
        if address.is_unspecified or address.is_multicast:
            continue
        is_far = not any(address in network for network in own_networks)
        if not address.is_link_local:
            ranked.append((is_far, 0 if address.version == 4 else 1, text))
        elif isinstance(address, ipaddress.IPv4Address):
            ranked.append((is_far, 2, text))
        elif address.scope_id:  # without a zone it could be on any link
            ranked.append((True, 3, text))
    ranked.sort(key=lambda entry: entry[:2])
    return tuple(text for _is_far, _kind, text in ranked)[:_ADDRESSES_MAX]
