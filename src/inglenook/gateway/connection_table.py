"""How many connections one group may hold, and which one is dropped. Kind: rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Generic, TypeVar

#: Connections on which no token has been shown yet, TLS handshakes included. At 100 new ones a
#: second the oldest is 1.3 s old, which is enough for a phone to authenticate.
UNAUTHENTICATED_MAX = 128

#: One address may hold more than this only while the table is not full.
UNAUTHENTICATED_SHARE = 16

#: HTTP connections of paired devices; their WebSockets are counted by `gateway.ws.connections`.
DEVICE_HTTP_MAX = 512
DEVICE_HTTP_SHARE = 64

#: Bits of an IPv6 address that name a network; one host may use every address in it (RFC 4291,
#: section 2.5.1).
_NETWORK_BITS = 64

T = TypeVar("T")


class ConnectionTable(Generic[T]):
    """Connections in the order they were opened, each of one group, a bounded number in all."""

    def __init__(self, most: int, share: int) -> None:
        """Start empty.

        Args:
            most: Connections there may be.
            share: Connections of one group that are not dropped in favour of another group.
        """
        self._most = most
        self._share = share
        self._groups: dict[T, str] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[T]:
        return iter(self._groups)

    def __contains__(self, connection: object) -> bool:
        return connection in self._groups

    @property
    def is_full(self) -> bool:
        """Whether `add` would drop a connection."""
        return len(self._groups) >= self._most

    def add(self, connection: T, group: str) -> T | None:
        """Add a connection; returns the one to drop for it, which has left the table.

        That is the oldest of the groups that hold more than their share, or else the oldest of
        all. So a group with few connections loses none to one with many, and where every group is
        small a new connection still gets its place.
        """
        victim = self._choose() if self.is_full else None
        if victim is not None:
            self.remove(victim)
        self._groups[connection] = group
        self._counts[group] += 1
        return victim

    def remove(self, connection: T) -> None:
        """Forget a connection, if it is here."""
        group = self._groups.pop(connection, None)
        if group is not None:
            self._counts[group] -= 1
            if not self._counts[group]:
                del self._counts[group]

    def pop_oldest(self) -> T | None:
        """Forget the connection that `add` would drop, and return it; None if there is none."""
        victim = self._choose()
        if victim is not None:
            self.remove(victim)
        return victim

    def _choose(self) -> T | None:
        oldest = next(iter(self._groups), None)
        if max(self._counts.values(), default=0) <= self._share:
            return oldest
        greedy = (c for c, group in self._groups.items() if self._counts[group] > self._share)
        return next(greedy, oldest)


def peer_group(host: str) -> str:
    """Name the group of a peer's address: the address, or its /64 network where it is IPv6.

    Link-local IPv6 addresses count one by one, with their zone, as all hosts share that network.

    Args:
        host: As the socket gives it, maybe with a zone.
    """
    text, _, zone = host.partition("%")
    try:
        address = ip_address(text)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_link_local:
        return f"{address}%{zone}"
    return str(IPv6Network((address, _NETWORK_BITS), strict=False))
