"""Which requests are for this box and come from near it. Kind: rules.

Nothing here looks a name up: a name that resolves to us is exactly what DNS rebinding forges
(CVE-2024-28224 was one such case), so only names known beforehand count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)(?:%[A-Za-z0-9._~-]+)?\]|(?P<name>[A-Za-z0-9._-]+))"
    r"(?::(?P<port>[0-9]{1,5})?)?"
)
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#@\s]+)/?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 1918, RFC 3927, RFC 4193, RFC 4291, loopback. Not `is_private`, which holds much more.
_NEAR: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

# RFC 6598: what providers put their customers behind, and where Tailscale takes its addresses.
_CARRIER = IPv4Network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class OwnNames:
    """What this box is called.

    Attributes:
        addresses: Of its interfaces; zones do not matter.
        host_name: As the operating system has it, without a domain.
        mdns_name: The one it announces, with or without ``.local``, as for ``host_name``.
        configured: More names or addresses the operator allows, for a box behind a router or in
            a container.
    """

    addresses: frozenset[Address]
    host_name: str
    mdns_name: str
    configured: tuple[str, ...] = ()

    def known(self) -> frozenset[str]:
        """Every name, in lower case."""
        names = {"localhost", *(name.lower().rstrip(".") for name in self.configured)}
        for name in (self.host_name, self.mdns_name):
            label = name.lower().rstrip(".").removesuffix(".local")
            if label:
                names |= {label, f"{label}.local"}
        return frozenset(names)


def host_allowed(header: str | None, own: OwnNames) -> bool:
    """Say whether the ``Host`` header names this box; its port does not matter."""
    host, _port = _split_host(header or "")
    if host is None:
        return False
    if host in own.known():
        return True
    address = _address(host)
    if address is None:
        return False
    return address.is_loopback or address in {_address(str(ours)) for ours in own.addresses}


def origin_allowed(
    origin: str | None,
    host_header: str | None,
    extra_origins: Iterable[str],
    sec_fetch_site: str | None,
) -> bool:
    """Say whether the page that makes this request may; call after `host_allowed`.

    Programs send no ``Origin`` and are let through, as are browsers where the page is ours. A
    browser that leaves ``Origin`` out but says ``Sec-Fetch-Site: cross-site`` is refused.

    Args:
        origin: The ``Origin`` header.
        host_header: The ``Host`` header; a page from the same host and port is our own.
        extra_origins: Others that may, as ``scheme://host[:port]``.
        sec_fetch_site: The ``Sec-Fetch-Site`` header.
    """
    if origin is None:
        return sec_fetch_site != "cross-site"
    asked = _split_origin(origin)
    if asked is None:
        return False
    scheme, host, port = asked
    own_host, own_port = _split_host(host_header or "")
    if scheme in _DEFAULT_PORTS and (own_host, own_port or _DEFAULT_PORTS[scheme]) == (host, port):
        return True
    return any(_split_origin(extra) == asked for extra in extra_origins)


def peer_allowed(peer_ip: str | None, own_networks: Iterable[Network]) -> bool:
    """Say whether the other end of a connection is near enough to be a household's.

    Near is: this box, a private or link-local address, or the network of one of our interfaces,
    as phones with global IPv6 addresses are.

    Args:
        peer_ip: As the socket gives it, maybe with a zone; None is refused.
        own_networks: Of this box's interfaces.
    """
    peer = _address(peer_ip or "")
    if peer is None:
        return False
    if any(peer in network for network in _NEAR):
        return True
    own = list(own_networks)
    if peer in _CARRIER:
        # Tailscale gives an interface a network of one address, so its peers never seem to be in
        # it; having an address in the range at all is what tells a tailnet from a stranger.
        return any(isinstance(net, IPv4Network) and net.subnet_of(_CARRIER) for net in own)
    return any(peer in network for network in own)


def peer_is_loopback(peer_ip: str | None) -> bool:
    """Say whether the other end of a connection is a program on this machine.

    Args:
        peer_ip: As for `peer_allowed`.
    """
    peer = _address(peer_ip or "")
    return peer is not None and peer.is_loopback


def _split_host(text: str) -> tuple[str | None, int | None]:
    """Take a ``host[:port]`` apart; IPv6 without brackets and zone, names in lower case."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None, None
    port = int(match["port"]) if match["port"] else None
    if match["v6"]:
        address = _address(match["v6"])
        return (None, None) if address is None else (str(address), port)
    return match["name"].lower().removesuffix("."), port


def _split_origin(text: str) -> tuple[str, str, int | None] | None:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    host, port = _split_host(match["host"])
    scheme = match["scheme"].lower()
    return None if host is None else (scheme, host, port or _DEFAULT_PORTS.get(scheme))


def _address(text: str) -> Address | None:
    """Read an IP address; an IPv4 one inside IPv6 comes out as IPv4, a zone is dropped."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
