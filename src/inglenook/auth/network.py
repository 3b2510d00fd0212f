"""Which requests are for this box and come from near it. Kind: rules.

Nothing here looks a name up: a name that resolves to us is exactly what DNS rebinding forges
(CVE-2024-28224 was one such case), so only names known beforehand count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
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

# RFC 6598: what providers put their customers behind, and where Tailscale, Headscale and NetBird
# take their addresses.
_CARRIER = IPv4Network("100.64.0.0/10")

#: A network larger than this is no household's, whatever an interface says of itself.
_WIDEST_PREFIX = {4: 8, 6: 32}


class AddressScope(StrEnum):
    """What is at the other end of one of the box's interfaces.

    `TUNNEL` is made by a program or by WireGuard; `POINT_TO_POINT` is a modem's or a provider's.
    """

    LOCAL_NETWORK = "local network"
    CONTAINERS = "containers"
    TUNNEL = "tunnel"
    POINT_TO_POINT = "point to point"
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """One address of the box, with its network, and where that leads."""

    interface: IPv4Interface | IPv6Interface
    link: AddressScope

    @property
    def is_for_devices(self) -> bool:
        """Whether a household's device may use it, at home or over a tunnel of its own."""
        return self.link in (AddressScope.LOCAL_NETWORK, AddressScope.TUNNEL)


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


def peer_allowed(peer_ip: str | None, own: Iterable[OwnAddress]) -> bool:
    """Say whether the other end of a connection is near enough to be a household's.

    Near is: this box, a private or link-local address, or the network of one of our interfaces,
    as phones with global IPv6 addresses are. Of a tunnel only what `_near_networks` says.

    Args:
        peer_ip: As the socket gives it, maybe with a zone; None is refused.
        own: All addresses of this box, those that are never announced too.
    """
    peer = _address(peer_ip or "")
    if peer is None:
        return False
    return any(peer in network for network in (*_NEAR, *_near_networks(own)))


def _near_networks(own: Iterable[OwnAddress]) -> Iterator[Network]:
    """The networks beside the private ones whose members are a household's.

    A tunnel with a public address is a VPN provider's, and a modem's network is a provider's: who
    else is in there is a stranger. Of a tunnel only addresses count that cannot be reached from
    outside it; beside the private ones that is the carrier range, where a tailnet's members are.
    """
    for address in own:
        network = address.interface.network
        if address.link in (AddressScope.LOCAL_NETWORK, AddressScope.CONTAINERS):
            if network.prefixlen >= _WIDEST_PREFIX[network.version]:
                yield network
        elif (
            address.link is AddressScope.TUNNEL
            and isinstance(network, IPv4Network)
            and network.subnet_of(_CARRIER)
        ):
            # Tailscale gives an interface a network of one address, so its peers never seem to be
            # in it; NetBird gives the network they are in.
            yield _CARRIER if network.prefixlen == network.max_prefixlen else network


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
