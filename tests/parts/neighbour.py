"""Another machine on loopback that hears mDNS announcements and makes its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from inglenook.discovery.advert import SERVICE_TYPE

T = TypeVar("T")

WAIT_S = 30.0


class Neighbour:
    """Another machine on the network, which knows this kind of service."""

    def __init__(self, address: str) -> None:
        self.responder = AsyncZeroconf(interfaces=[address])
        self.names: set[str] = set()
        self._changed = asyncio.Event()
        self._browser = AsyncServiceBrowser(
            self.responder.zeroconf, SERVICE_TYPE, handlers=[self._hear]
        )

    def knows(self, name: str) -> AsyncServiceInfo | None:
        """Give what has been heard of a service so far."""
        if f"{name}.{SERVICE_TYPE}" not in self.names:
            return None
        info = AsyncServiceInfo(SERVICE_TYPE, f"{name}.{SERVICE_TYPE}")
        return info if info.load_from_cache(self.responder.zeroconf) else None

    def txt(self, name: str) -> dict[str, str | None]:
        """Give the TXT record last heard of a service; empty if there is none."""
        info = self.knows(name)
        return info.decoded_properties if info else {}

    async def until(self, look: Callable[[], T | None]) -> T:
        """Wait until something heard makes ``look`` true, and return what it gave."""
        async with asyncio.timeout(WAIT_S):
            while not (seen := look()):
                await self._changed.wait()
                self._changed.clear()
        return seen

    async def announce(
        self,
        name: str,
        *,
        server: str,
        txt: bytes = b"",
        port: int = 80,
        address: str = "192.0.2.9",
    ) -> None:
        """Announce a service of this kind, without asking whether its name is free."""
        info = AsyncServiceInfo(
            SERVICE_TYPE,
            f"{name}.{SERVICE_TYPE}",
            port=port,
            properties=txt,
            server=server,
            parsed_addresses=[address],
        )
        await (await self.responder.async_register_service(info, cooperating_responders=True))

    def send(self, packet: bytes) -> None:
        """Multicast any bytes."""
        for sender in self.responder.zeroconf.engine.senders:
            sender.transport.sendto(packet, ("224.0.0.251", 5353))

    async def close(self) -> None:
        """Leave the network."""
        await self._browser.async_cancel()
        await self.responder.async_close()

    def _hear(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            self.names.discard(name)
        else:
            self.names.add(name)
        self._changed.set()
