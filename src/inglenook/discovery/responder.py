"""The mDNS sockets: opened on chosen interfaces, closed with a goodbye. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Collection
from typing import Any

import zeroconf

# Public and documented, though missing from the library's `__all__`.
from zeroconf import DNSOutgoing  # type: ignore[attr-defined]
from zeroconf.asyncio import AsyncZeroconf

from inglenook.discovery.addresses import InterfaceAddress, Link, sending_interfaces

logger = logging.getLogger(__name__)

MDNS_PORT = 5353
OPEN_S = 5.0
GOODBYE_S = 2.0


class _Speaker(zeroconf.Zeroconf):
    """Drops messages that cannot be encoded.

    A unicast answer repeats its question, and strangers may ask for a name of bytes that are not
    UTF-8, which is longer after decoding. The library would log a traceback for each such packet.
    """

    def async_send(
        self,
        out: DNSOutgoing,
        addr: str | None = None,
        port: int = MDNS_PORT,
        v6_flow_scope: tuple[()] | tuple[int, int] = (),
        transport: Any = None,
    ) -> None:
        """Send a message; the library calls this, too."""
        try:
            super().async_send(out, addr, port, v6_flow_scope, transport)
        except zeroconf.NamePartTooLongException:
            logger.debug("a name in a question is too long to be encoded")


@contextlib.asynccontextmanager
async def open_responder(addresses: Collection[InterfaceAddress]) -> AsyncIterator[AsyncZeroconf]:
    """Open the mDNS sockets on all interfaces at once, to ask; closes them on leaving.

    Raises:
        OSError: If another program holds the port, or no address can do multicast.
    """
    family = socket.AF_INET6 if any(entry.is_ipv6 for entry in addresses) else socket.AF_INET
    responder = _make_responder(family)
    try:
        async with asyncio.timeout(OPEN_S):
            await use_interfaces(responder, sending_interfaces(addresses))
        yield responder
    finally:
        await close_responder(responder)


async def open_on_link(link: Link) -> AsyncZeroconf:
    """Open the mDNS sockets on one link, to listen and send only there.

    Raises:
        OSError: If another program holds the port, or the link cannot do multicast.
    """
    # Of both families wherever there are both: IPv6 often comes seconds after IPv4, and the library
    # would then open another listening socket, which would receive from all links.
    responder = _make_responder(_widest_family())
    try:
        async with asyncio.timeout(OPEN_S):
            await responder.zeroconf.async_wait_for_start()
            for reader in responder.zeroconf.engine.readers:
                _listen_only_on(reader.sock, link.interface)
            await use_interfaces(responder, link.sending)
    except BaseException:
        await close_responder(responder)
        raise
    return responder


async def close_responder(responder: AsyncZeroconf) -> None:
    """Say goodbye for registered services, and close the sockets; takes two seconds at most."""
    try:
        async with asyncio.timeout(GOODBYE_S):
            await responder.async_close()
    except TimeoutError:
        logger.warning("no goodbye by mDNS within %s s; phones may list this box on", GOODBYE_S)


async def use_interfaces(responder: AsyncZeroconf, sending: Collection[str | int]) -> None:
    """Send and listen only there; registered services are announced on new interfaces.

    Raises:
        OSError: If no interface is left.
    """
    await responder.async_update_interfaces(list(sending))
    if not responder.zeroconf.engine.senders:
        raise OSError(errno.ENODEV, "no interface for multicast")


def _make_responder(family: socket.AddressFamily) -> AsyncZeroconf:
    """Make a responder without interfaces.

    So the library owns its sockets before anything can fail, and closes them.
    """
    _try_port(family)
    is_ipv6 = family == socket.AF_INET6
    versions = zeroconf.IPVersion.All if is_ipv6 else zeroconf.IPVersion.V4Only
    return AsyncZeroconf(zc=_Speaker(interfaces=[], ip_version=versions))


def _widest_family() -> socket.AddressFamily:
    """Return IPv6, whose sockets also receive IPv4, unless the kernel has none."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return socket.AF_INET
    return socket.AF_INET6


def _listen_only_on(sock: socket.socket, interface: str) -> None:
    """Drop packets of other interfaces, which Linux would deliver to every listener.

    Raises:
        OSError: If the interface is gone.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    except PermissionError:
        # Kernels before 5.7 want a privilege for it. Without it, each link's questions are also
        # answered on the other links by multicast, which costs packets; and a unicast answer may be
        # for another link.
        logger.debug("mDNS on %s hears the other links as well: the kernel is too old", interface)


def _try_port(family: socket.AddressFamily) -> None:
    """Check that the port can be shared, before the library logs its own message.

    Raises:
        OSError: If it cannot.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind(("", MDNS_PORT))
