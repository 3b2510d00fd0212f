"""The mDNS sockets: opened on chosen interfaces, closed with a goodbye. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Collection, Iterable

import zeroconf
from zeroconf.asyncio import AsyncZeroconf

from inglenook.discovery.addresses import InterfaceAddress, sending_interfaces
from inglenook.discovery.advert import SERVICE_TYPE

logger = logging.getLogger(__name__)

MDNS_PORT = 5353
OPEN_S = 5.0
GOODBYE_S = 2.0
# Long enough to ask twice: the library asks at once and again after a little over 200 ms.
CLAIM_S = 0.6


@contextlib.asynccontextmanager
async def open_responder(addresses: Collection[InterfaceAddress]) -> AsyncIterator[AsyncZeroconf]:
    """Open the mDNS sockets; on leaving, say goodbye for what was registered and close them.

    Raises:
        OSError: If another program holds the port, or no address can do multicast.
    """
    has_ipv6 = any(entry.is_ipv6 for entry in addresses)
    _try_port(socket.AF_INET6 if has_ipv6 else socket.AF_INET)
    # Opened without interfaces, which are added below: then the library has taken charge of its
    # sockets before anything can fail, and closes them.
    versions = zeroconf.IPVersion.All if has_ipv6 else zeroconf.IPVersion.V4Only
    responder = AsyncZeroconf(interfaces=[], ip_version=versions)
    try:
        async with asyncio.timeout(OPEN_S):
            await use_interfaces(responder, addresses)
        yield responder
    finally:
        try:
            async with asyncio.timeout(GOODBYE_S):
                await responder.async_close()
        except TimeoutError:
            logger.warning("no goodbye by mDNS within %s s; phones may list this box on", GOODBYE_S)


async def use_interfaces(responder: AsyncZeroconf, addresses: Collection[InterfaceAddress]) -> None:
    """Send and listen where ``addresses`` are and nowhere else; announce again where that is new.

    Raises:
        OSError: If no interface is left.
    """
    await responder.async_update_interfaces(sending_interfaces(addresses))
    if not responder.zeroconf.engine.senders:
        raise OSError(errno.ENODEV, "no interface for multicast")


async def claim_host_name(
    responder: AsyncZeroconf, choices: Iterable[str], own_addresses: Collection[str]
) -> str:
    """Take the first host name, without ``.local``, for which nobody else on the network answers.

    The library looks after the service name only, and two hosts that answer for one host name send
    phones now here, now there. Endless ``choices`` need the caller's deadline.

    Raises:
        OSError: If every choice is taken.
    """
    for choice in choices:
        # Public and documented, though missing from the library's `__all__`.
        resolver = zeroconf.AddressResolver(f"{choice}.local.")  # type: ignore[attr-defined]
        await resolver.async_request(responder.zeroconf, CLAIM_S * 1000)
        if set(resolver.parsed_addresses()) <= set(own_addresses):
            return choice
    raise OSError("every host name is taken")


def hears_itself(responder: AsyncZeroconf, service_name: str) -> bool:
    """Say whether the announcement came back by multicast, which reaches the sender as well.

    Where a firewall drops it here, it drops every phone's question too.
    """
    heard = responder.zeroconf.cache.current_entry_with_name_and_alias(SERVICE_TYPE, service_name)
    return heard is not None


def _try_port(family: socket.AddressFamily) -> None:
    """Find out whether the port can be shared, before the library logs about it in its own words.

    Raises:
        OSError: If it cannot.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind(("", MDNS_PORT))
