"""Which of the box's addresses to announce on which link, and from where to send. Kind: rules."""

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
        prefix_length: How many bits of it are the network's.
        is_ipv6: Whether it is an IPv6 address.
        carrier_ups: How often the interface has found its cable or radio network so far; 0 where
            the kernel does not count.
    """

    interface: str
    index: int
    address: str
    prefix_length: int
    is_ipv6: bool
    carrier_ups: int = field(default=0, compare=False)

    @property
    def is_link_local(self) -> bool:
        """Whether it is good on its own link only (169.254.0.0/16, fe80::/10)."""
        return ipaddress.ip_address(self.address).is_link_local

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The network that it lies in."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix_length}", strict=False)


@dataclass(frozen=True, slots=True)
class Link:
    """One interface of the box, and what is good on the network behind it.

    Attributes:
        interface: Its name.
        index: The kernel's number of it.
        announced: What the host name resolves to there, IPv4 first.
        sending: Where to send and listen, as zeroconf wants it.
        carrier_ups: As in `InterfaceAddress`.
    """

    interface: str
    index: int
    announced: tuple[str, ...]
    sending: tuple[str | int, ...]
    carrier_ups: int


def links_of(addresses: Collection[InterfaceAddress]) -> dict[str, Link]:
    """Sort the box's addresses by the links on which they are good; by name of the interface."""
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
    """Choose what a link hears: its own addresses, then others of the box in the same networks.

    The latter are those of a second interface in one LAN, such as Wi-Fi beside a cable. Both say
    the same then; if each named only itself, phones would take the one for the other's end.
    Link-local addresses count only in a family that has nothing else on this link.
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
    """Choose where to send and listen, as zeroconf wants it: IPv4 by address, IPv6 by interface.

    One of each family an interface, because that is how a multicast group is joined; of IPv4, one
    that others on the link take for a neighbour's.
    """
    ipv4: dict[str, InterfaceAddress] = {}
    ipv6: dict[int, None] = {}
    for entry in addresses:
        if entry.is_ipv6:
            ipv6[entry.index] = None
        elif entry.interface not in ipv4 or ipv4[entry.interface].is_link_local:
            ipv4[entry.interface] = entry
    return [*(entry.address for entry in ipv4.values()), *ipv6]
