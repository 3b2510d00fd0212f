"""The box on one link: its announcement there, and records of its names. Kind: hands."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Callable

import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from inglenook.common.guarded import Guard
from inglenook.discovery.addresses import Link
from inglenook.discovery.advert import SERVICE_TYPE
from inglenook.discovery.names import Names
from inglenook.discovery.records import DNSAddress, DNSService, goodbye, ids_in, probe
from inglenook.discovery.responder import close_responder, open_on_link, use_interfaces
from inglenook.discovery.rivals import ObservedRecords, ServiceRecord

#: RFC 6762 section 8.1: three questions, and as long again for answers to the last; a random delay
#: before the first, because a power cut makes all boxes start at once.
PROBES, PROBE_S = 3, 0.25
#: A lost goodbye leaves an old name or address in phones' lists for minutes.
GOODBYES, GOODBYE_EVERY_S = 3, 0.125
#: The library ignores a packet that it has received less than a second ago.
SAME_AGAIN_S = 1.0

_LOCAL = ".local."


class OnLink(zeroconf.RecordUpdateListener):
    """Sockets of one link, and the box's service there.

    Attributes:
        link: The link at the last look.
        observed: Records received there.
        asked_s: Time of the last probe, loop time; minus infinity if never.
        checked_s: Records received before are checked, loop time.
    """

    def __init__(self, link: Link, responder: AsyncZeroconf, noticed: Callable[[], None]) -> None:
        """Take an open responder, as `open` makes it."""
        self.link = link
        self.observed = ObservedRecords()
        self.asked_s = self.checked_s = -float("inf")
        self._responder = responder
        self._noticed = noticed
        self._telling = Guard("news of a device with the box's name")
        self._closing = Guard("closing mDNS")
        self._said: AsyncServiceInfo | None = None
        self._said_s = -float("inf")
        responder.zeroconf.async_add_listener(self, None)

    @classmethod
    async def open(cls, link: Link, noticed: Callable[[], None]) -> OnLink:
        """Open the sockets.

        Args:
            link: The link.
            noticed: Called when another device's records with the box's names were received.

        Raises:
            OSError: If mDNS cannot be used there.
            zeroconf.Error: If the library could not start.
        """
        return cls(link, await open_on_link(link), noticed)

    async def close(self) -> None:
        """Say goodbye and close the sockets; takes two seconds at most.

        After an unexpected error a second call returns at once.
        """
        self._responder.zeroconf.async_remove_listener(self)
        with self._closing:
            await close_responder(self._responder)
            return
        await close_responder(self._responder)

    @property
    def is_whole(self) -> bool:
        """Whether all of its addresses are in use."""
        return len(self._responder.zeroconf.engine.senders) == len(self.link.sending)

    async def move(self, link: Link) -> None:
        """Use other addresses from now on; nothing is announced before `say`.

        Raises:
            OSError: If mDNS cannot be used there.
        """
        # While it moves, the library announces what is registered: the old, from the new address.
        self.stop_answering()
        self.link = link
        await use_interfaces(self._responder, link.sending)

    async def ask(self, names: Names) -> float:
        """Probe these names, and wait for the answers.

        Returns:
            Time since which received records count (loop time): a second before, because the
            library drops an answer equal to one a moment ago.
        """
        began_s = self.asked_s = asyncio.get_running_loop().time()
        await asyncio.sleep(random.uniform(0, PROBE_S))  # noqa: S311  # no secret
        for _ in range(PROBES):
            self._responder.zeroconf.async_send(probe(names))
            await asyncio.sleep(PROBE_S)
        return began_s - SAME_AGAIN_S

    async def say(self, info: AsyncServiceInfo, *, yielding: bool) -> None:
        """Announce a service, after a goodbye for records that are no longer true.

        Args:
            info: The service, with the addresses valid on this link.
            yielding: The old names belong to another device now: no goodbye for those.

        Raises:
            OSError: If mDNS cannot be used any longer.
            zeroconf.Error: If the library has ended.
        """
        before = self.stop_answering()
        if before is not None and (out := goodbye(before, info, yielding=yielding)) is not None:
            for _ in range(GOODBYES):
                self._responder.zeroconf.async_send(out)
                await asyncio.sleep(GOODBYE_EVERY_S)
        self._said, self._said_s = info, asyncio.get_running_loop().time()
        # "Cooperating": without the library's own probe, which takes an echo for another box.
        await (await self._responder.async_register_service(info, cooperating_responders=True))

    def hears_itself(self, names: Names) -> bool:
        """Whether the announcement came back by multicast, which reaches the sender, too.

        A firewall that drops it here also drops every phone's question.
        """
        return self.observed.heard(names, self._said_s - SAME_AGAIN_S)

    def stop_answering(self) -> AsyncServiceInfo | None:
        """Stop answering, without a goodbye; returns the last announcement."""
        before = self._said
        if before is not None:
            self._responder.zeroconf.registry.async_remove(before)
        return before

    def async_update_records(
        self, zc: zeroconf.Zeroconf, now: float, records: list[zeroconf.RecordUpdate]
    ) -> None:
        """Take in a packet's records; the library calls this."""
        at_s = asyncio.get_running_loop().time()
        said = [update.new for update in records]
        ids = ids_in(said)
        for record in said:
            if isinstance(record, DNSService):
                self._hear_service(record, ids.get(record.name.lower()), at_s)
            elif isinstance(record, DNSAddress):
                self._hear_address(record, at_s)

    def _hear_service(self, record: DNSService, server_id: str | None, at_s: float) -> None:
        name, host = record.name.lower(), record.server.lower()
        if not name.endswith(f".{SERVICE_TYPE}") or not host.endswith(_LOCAL):
            return
        service = ServiceRecord(
            name.removesuffix(f".{SERVICE_TYPE}"), host.removesuffix(_LOCAL), record.port
        )
        if not record.ttl:
            self.observed.forget_service(service)
            return
        self.observed.service(service, server_id, at_s)
        if self._said is not None and (said := self._said).key == name and said.server_key != host:
            self._notice()

    def _hear_address(self, record: DNSAddress, at_s: float) -> None:
        name = record.name.lower()
        if not name.endswith(_LOCAL) or len(record.address) not in (4, 16):
            return
        host, address = name.removesuffix(_LOCAL), str(ipaddress.ip_address(record.address))
        if not record.ttl:
            self.observed.forget_address(host, address)
            return
        self.observed.address(host, address, at_s)
        is_ours = self._said is not None and self._said.server_key == name
        if is_ours and address not in self.link.announced:
            self._notice()

    def _notice(self) -> None:
        with self._telling:
            self._noticed()
