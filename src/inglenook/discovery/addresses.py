"""Addresses of the box by link: which to announce, and from which to send. Kind: rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class InterfaceAddress:
    """One address of one network interface.

    Attributes:
        interface: Name of the interface, such as ``eth0``.
        index: The kernel's number of the interface.
        address: The address, without a zone.
        prefix_length: Length of the network part, bits.
        is_ipv6: Whether it is an IPv6 address.
        carrier_ups: The kernel's count of carrier gains of the interface; 0 if it has none.
    """

    interface: str
    index: int
    address: str
    prefix_length: int
    is_ipv6: bool
    carrier_ups: int = field(default=0, compare=False)

    @property
    def is_link_local(self) -> bool:
        """Whether it is valid on its own link only (169.254.0.0/16, fe80::/10)."""
        return ipaddress.ip_address(self.address).is_link_local

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """Its network."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix_length}", strict=False)


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of the box, and the addresses valid on the network behind it.

    Attributes:
        interface: Its name.
        index: The kernel's number of it.
        announced: Addresses of the host name there, IPv4 first.
        sending: Interfaces to send and listen on, in zeroconf's form.
        carrier_ups: As in `InterfaceAddress`.
    """

    interface: str
    index: int
    announced: tuple[str, ...]
    sending: tuple[str | int, ...]
    carrier_ups: int


def links_of(addresses: Collection[InterfaceAddress]) -> dict[str, Link]:
    """Return the box's links with their valid addresses, by name of the interface."""
    found: dict[str, Link] = {}
    for interface in sorted({entry.interface for entry in addresses}):
        own = [entry for entry in addresses if entry.interface == interface]
        found[interface] = Link(
            interface,
            own[0].index,
            tuple(_announced(own, addresses)),
            tuple(sending_interfaces(own)),
            own[0].carrier_ups,
        )
    return found


def _announced(
    own: Collection[InterfaceAddress], everywhere: Iterable[InterfaceAddress]
) -> list[str]:
    """Return the addresses to announce on a link: its own, then others in the same networks.

    The latter belong to a second interface in one LAN, such as Wi-Fi beside a cable. Both announce
    the same then; if each announced only itself, phones would replace one by the other. Link-local
    addresses count only in a family that has no others on this link.
    """
    announced: list[str] = []
    networks = [entry.network for entry in own if not entry.is_link_local]
    for is_ipv6 in (False, True):
        family = [entry for entry in own if entry.is_ipv6 == is_ipv6]
        routable = [entry for entry in family if not entry.is_link_local]
        announced += [entry.address for entry in routable or family]
        announced += [
            entry.address
            for entry in everywhere
            if entry.is_ipv6 == is_ipv6 and entry not in own and entry.network in networks
        ]
    return announced


def sending_interfaces(addresses: Iterable[InterfaceAddress]) -> list[str | int]:
    """Return where to send and listen, in zeroconf's form: IPv4 by address, IPv6 by interface.

    One of each family per interface, because a multicast group is joined that way; of IPv4, an
    address in the network of the others on the link.
    """
    ipv4: dict[str, InterfaceAddress] = {}
    ipv6: dict[int, None] = {}
    for entry in addresses:
        if entry.is_ipv6:
            ipv6[entry.index] = None
        elif entry.interface not in ipv4 or ipv4[entry.interface].is_link_local:
            ipv4[entry.interface] = entry
    return [*(entry.address for entry in ipv4.values()), *ipv6]
