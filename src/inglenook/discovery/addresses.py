"""Which of the box's addresses to announce, and from where to send. Kind: rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class InterfaceAddress:
    """One address of one network interface.

    Attributes:
        interface: Name of the interface, such as ``eth0``.
        index: The kernel's number of the interface.
        address: The address, without a zone.
        prefix_length: How many bits of it are the network's.
        is_ipv6: Whether it is an IPv6 address.
    """

    interface: str
    index: int
    address: str
    prefix_length: int
    is_ipv6: bool

    @property
    def is_link_local(self) -> bool:
        """Whether it is good on its own link only (169.254.0.0/16, fe80::/10)."""
        return ipaddress.ip_address(self.address).is_link_local


def announced_addresses(addresses: Iterable[InterfaceAddress]) -> list[str]:
    """Choose what the host name resolves to, IPv4 first.

    Link-local addresses count only in a family that has nothing else.
    """
    announced: list[str] = []
    for is_ipv6 in (False, True):
        family = [entry for entry in addresses if entry.is_ipv6 == is_ipv6]
        routable = [entry for entry in family if not entry.is_link_local]
        announced += [entry.address for entry in routable or family]
    return announced


def sending_interfaces(addresses: Iterable[InterfaceAddress]) -> list[str | int]:
    """Choose where to send and listen, as zeroconf wants it: IPv4 by address, IPv6 by interface.

    One of each family an interface, because that is how a multicast group is joined.
    """
    ipv4: dict[str, str] = {}
    ipv6: dict[int, None] = {}
    for entry in addresses:
        if entry.is_ipv6:
            ipv6[entry.index] = None
        else:
            ipv4.setdefault(entry.interface, entry.address)
    return [*ipv4.values(), *ipv6]
