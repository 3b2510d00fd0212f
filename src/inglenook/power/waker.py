"""Sends magic packets to other machines, on every network of this one. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ifaddr
import psutil

from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.network_cards import (
    InterfaceStats,
    flags_of,
    interface_name,
    parse_mac,
)
from inglenook.power.magic import magic_packet, parse_password
from inglenook.power.settings import WakeSettings

log = logging.getLogger(__name__)

#: Echo and discard; cards wake by either, and listening programs use one of them.
PORTS = (9, 7)

#: Number of sends, and seconds between them: three in a second, as Wi-Fi loses broadcasts.
_TIMES = 3
_BETWEEN_S = 0.4

_LOOK_S = 5.0

#: Least time between two wake-ups of one machine, seconds.
_AGAIN_S = 10.0

_NO_NETWORK = "no network interface with an address is up; plug in a cable or join a Wi-Fi network"

_LIMITED_BROADCAST = "255.255.255.255"
# RFC 3021: in a network of two addresses neither is for broadcast.
_POINT_TO_POINT_PREFIX = 31
# RFC 4291 section 2.7.1: all nodes on the link. IPv6 has no broadcast.
_ALL_NODES = "ff02::1"


@dataclass(frozen=True, slots=True)
class WakeInterface:
    """A network interface, and how all machines behind it are reached.

    Attributes:
        interface: Its name, such as ``eth0``.
        index: The kernel's number of it.
        ipv4: Its IPv4 addresses, each with its network's broadcast address.
        has_ipv6: Whether it has an IPv6 address.
    """

    interface: str
    index: int
    ipv4: tuple[tuple[str, str], ...]
    has_ipv6: bool


def list_links() -> list[WakeInterface]:
    """Return the interfaces that are up and lead to other machines; blocks for a moment.

    Raises:
        OSError: If the kernel cannot list them.
    """
    return usable_links(ifaddr.get_adapters(), psutil.net_if_stats())


def usable_links(
    adapters: Iterable[ifaddr.Adapter], stats: Mapping[str, InterfaceStats]
) -> list[WakeInterface]:
    """Return the interfaces on which a broadcast can be sent."""
    links = []
    for adapter in adapters:
        name = interface_name(adapter.name)
        flags = flags_of(stats.get(name))
        if adapter.index is None or not flags >= {"up", "running"} or "loopback" in flags:
            continue
        networks = [
            ipaddress.IPv4Interface(f"{entry.ip}/{entry.network_prefix}")
            for entry in adapter.ips
            if entry.is_IPv4
        ]
        ipv4 = tuple(
            (str(own.ip), str(own.network.broadcast_address))
            for own in networks
            if "broadcast" in flags and own.network.prefixlen < _POINT_TO_POINT_PREFIX
        )
        has_ipv6 = "multicast" in flags and any(entry.is_IPv6 for entry in adapter.ips)
        if ipv4 or has_ipv6:
            links.append(WakeInterface(name, adapter.index, ipv4, has_ipv6))
    return links


async def send_magic(
    mac: bytes,
    secure_on: bytes | None = None,
    *,
    links: Callable[[], Sequence[WakeInterface]] = list_links,
    ports: Sequence[int] = PORTS,
) -> int:
    """Send a machine's packet three times within a second, on all interfaces, by IPv4 and IPv6.

    Args:
        mac: Its card's address.
        secure_on: Its SecureOn password.
        links: Lists the interfaces; called in a thread.
        ports: UDP ports to send to.

    Returns:
        The number of interfaces used; at least one. Whether it was received is unknown.

    Raises:
        StartupError: If there was none.
    """
    packet = magic_packet(mac, secure_on)
    reached: set[str] = set()
    try:
        async with asyncio.timeout(_LOOK_S):
            found = await asyncio.to_thread(links)
        with contextlib.ExitStack() as stack:
            senders = [sender for link in found for sender in _senders(link, ports, stack)]
            for turn in range(_TIMES):
                if turn:
                    await asyncio.sleep(_BETWEEN_S)
                reached |= {sender.interface for sender in senders if sender.send(packet)}
    except OSError as exc:
        why = exc.strerror or "the kernel does not list its networks"
        raise StartupError(f"no magic packet can be sent: {why}") from exc
    if not reached:
        why = "no network takes it" if found else _NO_NETWORK
        raise StartupError(f"no magic packet can be sent: {why}")
    return len(reached)


class WakeTargets:
    """Machines of ``wake.targets``, which phones may wake."""

    def __init__(
        self,
        settings: WakeSettings,
        send: Callable[[bytes, bytes | None], Awaitable[int]] = send_magic,
    ) -> None:
        """Take the settings; ``send`` wakes a machine by its address and password."""
        self._targets = {target.name.casefold(): target for target in settings.targets}
        self._send = send
        self._sent_at: dict[str, float] = {}

    async def wake(self, name: str) -> int:
        """Wake a machine by its name, in any case; returns the number of interfaces used.

        Raises:
            LookupError: If none has this name.
            Problem: `Code.RATE_LIMITED` if it was woken a moment ago.
            StartupError: If there is no network.
        """
        target = self._targets[name.casefold()]
        now = asyncio.get_running_loop().time()
        wait_s = self._sent_at.get(target.name, now - _AGAIN_S) + _AGAIN_S - now
        if wait_s > 0:
            text = f"{target.name} was called a moment ago; it needs time to wake."
            raise Problem(Code.RATE_LIMITED, text, retry_after_s=wait_s)
        self._sent_at[target.name] = now
        secure_on = None if target.secure_on is None else parse_password(target.secure_on)
        return await self._send(parse_mac(target.mac), secure_on)


@dataclass(frozen=True, slots=True)
class _BroadcastSocket:
    """A socket on one interface, and its broadcast address."""

    interface: str
    sock: socket.socket
    places: tuple[tuple[str, int] | tuple[str, int, int, int], ...]

    def send(self, packet: bytes) -> bool:
        """Send a packet; returns whether any send succeeded."""
        went = False
        for place in self.places:
            try:
                self.sock.sendto(packet, place)
            except OSError as exc:
                # One address of several: the cable may have been pulled, or a firewall refuses.
                log.debug("no magic packet to %s on %s: %s", place, self.interface, exc)
            else:
                went = True
        return went


def _senders(
    link: WakeInterface, ports: Sequence[int], stack: contextlib.ExitStack
) -> Iterator[_BroadcastSocket]:
    """Open the sockets of an interface; ``stack`` closes them."""
    for address, broadcast in link.ipv4:
        sock = stack.enter_context(_open(socket.AF_INET))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # By the sender's address the kernel selects the interface for 255.255.255.255.
        try:
            sock.bind((address, 0))
        except OSError:
            continue  # the address has gone since it was listed
        places = tuple((to, port) for to in (broadcast, _LIMITED_BROADCAST) for port in ports)
        yield _BroadcastSocket(link.interface, sock, places)
    if link.has_ipv6:
        sock = stack.enter_context(_open(socket.AF_INET6))
        group = tuple((_ALL_NODES, port, 0, link.index) for port in ports)
        yield _BroadcastSocket(link.interface, sock, group)


def _open(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock
