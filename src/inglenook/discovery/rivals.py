"""Rivals: other devices on a link with the box's names, by the records heard. Kind: rules.

RFC 6762 sections 8.2 and 9. A box receives its own records, too: by multicast, from a reflector
that repeats one link's records on another, from Avahi, which announces a box that sleeps. These are
no rivals. Such an echo may be from before a restart; it then differs from a box with a copy of this
one's SD card only in that no process answers at its address.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from inglenook.discovery.names import Names, Part

_K = TypeVar("_K")

#: Records stored of each kind; strangers can send any number.
_HEARD_MAX = 256


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """An SRV record of the box's kind of service, without the types of names; in lower case.

    Attributes:
        instance: Its instance name.
        host: Its host name, without ``.local``.
        port: Its port.
    """

    instance: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class OwnRecords:
    """The box's own records on one link.

    Attributes:
        names: Its names.
        server_id: The id by which clients recognise it.
        port: Its port.
        announced: Its addresses there.
        own: All its addresses, on any link.
    """

    names: Names
    server_id: str
    port: int
    announced: tuple[str, ...]
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another device that uses one of the box's names.

    Attributes:
        part: Which name.
        addresses: Its addresses, by its own records.
        ports: Its ports, as far as known.
        may_be_echo: It has the box's own id, so it is a twin or an echo.
        wins: If both hold the name, it is the rival's by RFC 6762 section 8.2.
    """

    part: Part
    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    may_be_echo: bool
    wins: bool


class ObservedRecords:
    """Records received on one link, and the times they were last received, seconds."""

    def __init__(self) -> None:
        # A box with another id may have the very same names, so the id is part of the key.
        self._services: dict[tuple[ServiceRecord, str | None], float] = {}
        self._addresses: dict[tuple[str, str], float] = {}

    def service(self, service: ServiceRecord, server_id: str | None, now: float) -> None:
        """Record a service; its id is None if its TXT record was not in the packet."""
        self._services.pop((service, server_id), None)
        self._services[service, server_id] = now
        _bound(self._services)

    def address(self, host: str, address: str, now: float) -> None:
        """Record an address of a host, named without ``.local`` and in lower case."""
        self._addresses.pop((host, address), None)
        self._addresses[host, address] = now
        _bound(self._addresses)

    def forget_service(self, service: ServiceRecord) -> None:
        """Record a goodbye."""
        for said in [said for said in self._services if said[0] == service]:
            del self._services[said]

    def forget_address(self, host: str, address: str) -> None:
        """Record a goodbye."""
        self._addresses.pop((host, address), None)

    def heard(self, names: Names, since_s: float) -> bool:
        """Return whether a service has these names: the box itself, if it holds them."""
        instance, host = names.instance.lower(), names.host.lower()
        return any(
            when >= since_s and (service.instance, service.host) == (instance, host)
            for (service, _id), when in self._services.items()
        )

    def rivals(self, mine: OwnRecords, since_s: float) -> Iterator[Rival]:
        """Return the devices that have used the box's names since then."""
        yield from self._of_instance(mine, since_s)
        if (rival := self._of_host(mine, since_s)) is not None:
            yield rival

    def _of_instance(self, mine: OwnRecords, since_s: float) -> Iterator[Rival]:
        ours = ServiceRecord(mine.names.instance.lower(), mine.names.host.lower(), mine.port)
        heard = {service for (service, _id), when in self._services.items() if when >= since_s}
        for service in sorted(heard, key=_srv_data):
            # At the same host it is this box, or a twin, which the addresses tell.
            if service.instance != ours.instance or service.host == ours.host:
                continue
            addresses = self._addresses_of(service.host)
            is_ours = self._ids_of({service}) == {mine.server_id}
            # At our own addresses, or at none any longer: what Avahi says of a box that sleeps.
            if is_ours and set(addresses) <= mine.own:
                continue
            wins = _srv_data(service) > _srv_data(ours)
            yield Rival("instance", addresses, (service.port,), is_ours, wins)

    def _of_host(self, mine: OwnRecords, since_s: float) -> Rival | None:
        host = mine.names.host.lower()
        foreign = {
            address
            for (name, address), when in self._addresses.items()
            if name == host and when >= since_s and address not in mine.own
        }
        if not foreign:
            return None
        there = {service for service, _id in self._services if service.host == host}
        is_ours = self._ids_of(there) == {mine.server_id}
        ports = {service.port for service in there} if is_ours else set()
        wins = _address_data(foreign) > _address_data(mine.announced)
        return Rival("host", tuple(sorted(foreign)), tuple(sorted(ports)), is_ours, wins)

    def _ids_of(self, services: Collection[ServiceRecord]) -> set[str]:
        """The ids that these were said with, whenever."""
        return {
            server_id
            for service, server_id in self._services
            if service in services and server_id is not None
        }

    def _addresses_of(self, host: str) -> tuple[str, ...]:
        return tuple(sorted(address for name, address in self._addresses if name == host))


def _srv_data(service: ServiceRecord) -> bytes:
    """The record's data as it is compared: priority, weight and port, then the target's labels."""
    labels = [*service.host.encode().split(b"."), b"local"]
    target = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!HHH", 0, 0, service.port) + target


def _address_data(addresses: Collection[str]) -> list[tuple[int, bytes]]:
    """The records' data as it is compared: A before AAAA, each in order."""
    parsed = [ipaddress.ip_address(address) for address in addresses]
    return sorted((address.version, address.packed) for address in parsed)


def _bound(heard: dict[_K, Any]) -> None:
    if len(heard) > _HEARD_MAX:
        del heard[next(iter(heard))]
