"""Checks of Host, Origin and peer address: requests for this box, from near it. Kind: rules.

Nothing here resolves a name: DNS rebinding forges names that resolve to this box (CVE-2024-28224
was one such case), so only names known beforehand count.
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

# RFC 6598: providers' carrier-grade NAT; also the addresses of Tailscale, Headscale and NetBird.
_CARRIER = IPv4Network("100.64.0.0/10")

#: No household's network is larger, whatever an interface's netmask says.
_WIDEST_PREFIX = {4: 8, 6: 32}


class AddressScope(StrEnum):
    """Kind of network at the other end of one of the box's interfaces.

    `TUNNEL` is made by a program or by WireGuard; `POINT_TO_POINT` is a modem's or a provider's.
    """

    LOCAL_NETWORK = "local network"
    CONTAINERS = "containers"
    TUNNEL = "tunnel"
    POINT_TO_POINT = "point to point"
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address of the box, with its network and the kind of that."""

    interface: IPv4Interface | IPv6Interface
    link: AddressScope

    @property
    def is_for_devices(self) -> bool:
        """Whether the household's devices may use it, at home or over their own tunnel."""
        return self.link in (AddressScope.LOCAL_NETWORK, AddressScope.TUNNEL)


@dataclass(frozen=True, slots=True)
class OwnNames:
    """Names and addresses of this box.

    Attributes:
        addresses: Of its interfaces; zones do not matter.
        host_name: The operating system's, without a domain.
        mdns_name: The announced host name, with or without ``.local``, as for ``host_name``.
        configured: Further names or addresses from the settings, for a box behind a router or in
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
    """Return whether the ``Host`` header names this box; its port does not matter."""
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
    """Return whether the page that makes this request may; call after `host_allowed`.

    Programs send no ``Origin`` and are allowed, as are browsers on our own page. A browser that
    leaves ``Origin`` out but sends ``Sec-Fetch-Site: cross-site`` is refused.

    Args:
        origin: The ``Origin`` header.
        host_header: The ``Host`` header; a page from the same host and port is our own.
        extra_origins: Other allowed ones, as ``scheme://host[:port]``.
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
    """Return whether a connection's peer may belong to the household.

    It may if it is this box, has a private or link-local address, or is in the network of one of
    our interfaces, as phones with global IPv6 addresses are. For tunnels see `_near_networks`.

    Args:
        peer_ip: The socket's, maybe with a zone; None is refused.
        own: All addresses of this box, including those never announced.
    """
    peer = _address(peer_ip or "")
    if peer is None:
        return False
    return any(peer in network for network in (*_NEAR, *_near_networks(own)))


def _near_networks(own: Iterable[OwnAddress]) -> Iterator[Network]:
    """Return the networks of the household beside the private ranges.

    A tunnel with a public address belongs to a VPN provider, and a modem's network to a provider:
    its other members are strangers. Of a tunnel only addresses count that cannot be reached from
    outside it; beside the private ones that is the carrier range, which a tailnet uses.
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
            # Tailscale's interface has a network of one address, which never contains its peers;
            # NetBird's has the network that contains them.
            yield _CARRIER if network.prefixlen == network.max_prefixlen else network


def peer_is_loopback(peer_ip: str | None) -> bool:
    """Return whether a connection's peer is a program on this machine.

    Args:
        peer_ip: As for `peer_allowed`.
    """
    peer = _address(peer_ip or "")
    return peer is not None and peer.is_loopback


def _split_host(text: str) -> tuple[str | None, int | None]:
    """Split a ``host[:port]``; IPv6 without brackets and zone, names in lower case."""
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
    """Parse an IP address; IPv4 mapped to IPv6 becomes IPv4, a zone is dropped."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
