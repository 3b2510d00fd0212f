"""What is known of a box found on the network. Kind: rules."""

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

# Enough for any value of ours; what strangers send beyond it is cut.
_VALUE_LIMIT = 64

#: Of one box; their names fit into one TXT record.
_MODELS_MAX = 16

#: Of one box; a household's has a few, on two networks and by IPv4 and IPv6.
_ADDRESSES_MAX = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Box:
    """A box as it announces itself; whoever needs certainty asks ``/.well-known/inglenook``.

    Everything a stranger could write is free of control characters. What is missing or malformed
    is None, or False.

    Attributes:
        name: Its name as people see it.
        host_name: What resolves to its addresses, such as ``kitchen-ab12.local``.
        server_id: What clients recognise it by: 8 lowercase hex digits.
        addresses: Those in a network of the asker first; of each, IPv4 before IPv6; link-local
            IPv6, with its zone, last. At least one.
        port: Where it serves HTTP and WebSocket.
        version: The version of its program.
        models: Names of its models, the one that answers by default first; as many as it said.
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
        """Where to try it, best first: ``http://192.168.1.20:8377``, ``http://[fd00::1]:8377``."""
        hosts = (f"[{address}]" if ":" in address else address for address in self.addresses)
        return tuple(f"http://{host}:{self.port}" for host in hosts)


@dataclass(frozen=True, slots=True)
class MdnsAnswer:
    """What a box answered: its instance name, SRV record, addresses and TXT record."""

    name: str
    host_name: str
    port: int
    addresses: Sequence[str]
    txt: Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class BoxHello:
    """What a box says of itself to anybody, and anybody can say of themselves.

    Attributes:
        server_id: What it is recognised by.
        name: As people see it.
        tls_port: Where it speaks TLS; 0 is nowhere.
        spki_sha256: Fingerprint of its TLS key, 43 characters of base64url.
        run_id: Of the process that answers, 8 hex digits: the same at all its addresses, and
            another for each of two boxes that have one ``server_id``, as with a copied SD card.
            None from a version that does not say it.
    """

    server_id: str
    name: str
    tls_port: int = 0
    spki_sha256: str | None = None
    run_id: str | None = None


def networks_of(addresses: Iterable[InterfaceAddress]) -> list[Network]:
    """The networks that a machine with these addresses is in; link-local IPv6 says nothing."""
    return [
        ipaddress.ip_interface(f"{entry.address}/{entry.prefix_length}").network
        for entry in addresses
        if not (entry.is_ipv6 and entry.is_link_local)
    ]


def read_box(answer: MdnsAnswer, own_networks: Sequence[Network] = ()) -> Box | None:
    """Make sense of an answer; None if nobody could connect to what it describes.

    Args:
        answer: As it came.
        own_networks: Of this machine: a box on two networks tells of addresses in both, and from
            here there need not be a way to each (RFC 6762 section 6.2 asks it not to).
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
    # A box of an earlier version, or one whose TXT record is full, says its first model only.
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
    """Put the addresses in the order to try them, without those nobody can connect to."""
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
