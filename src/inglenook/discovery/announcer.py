"""Keeps the box announced by mDNS while its name, addresses and state change. Kind: hands."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import math
from collections.abc import Callable

import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from inglenook.discovery.addresses import InterfaceAddress, announced_addresses
from inglenook.discovery.advert import SERVICE_TYPE, Advert, host_name, instance_name, txt_record
from inglenook.discovery.interfaces import list_addresses
from inglenook.discovery.netlink import network_changes
from inglenook.discovery.pacing import Burst, publish_at_s
from inglenook.discovery.responder import (
    claim_host_name,
    hears_itself,
    open_responder,
    use_interfaces,
)
from inglenook.discovery.settings import DiscoverySettings
from inglenook.discovery.state import (
    FAILED,
    OFF,
    STARTING,
    AnnounceState,
    announced,
    deaf,
    degraded,
)
from inglenook.restarting import TaskGuard

logger = logging.getLogger(__name__)

# Netlink tells of changes at once; polling is for sandboxes without it.
POLL_S = 30.0
RETRY_S = 60.0
LOOK_S = 5.0
REGISTER_S = 15.0
PUBLISH_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Sent:
    """What is announced, under which full service name, and since when (loop time)."""

    advert: Advert
    addresses: list[InterfaceAddress]
    service_name: str
    at_s: float


class Announcer:
    """Announces one box; whatever the network does it never raises, but says so in ``state``."""

    def __init__(
        self,
        settings: DiscoverySettings,
        advert: Advert,
        *,
        last_host_name: str | None = None,
        addresses: Callable[[], list[InterfaceAddress]] = list_addresses,
    ) -> None:
        """Prepare; nothing is sent before ``run``.

        Args:
            settings: What the operator chose.
            advert: What to say about the box at first.
            last_host_name: The host name held before, without ``.local``; None derives one.
            addresses: Lists the box's addresses; called in a thread.
        """
        self._settings = settings
        self._wanted = self._allowed(advert)
        self._list_addresses = addresses
        self._host_name = last_host_name or host_name(advert.name, advert.server_id)
        self._state = STARTING
        self._tried = asyncio.Event()
        self._wake = asyncio.Event()
        self._burst = Burst()
        self._again = False
        self._announcing = TaskGuard("announcing the box")

    @property
    def state(self) -> AnnounceState:
        """How the announcement stands now."""
        return self._state

    @property
    def host_name(self) -> str:
        """The host name in use, without ``.local``; worth keeping for ``last_host_name``."""
        return self._host_name

    def update(self, advert: Advert) -> None:
        """Announce this from now on; of several quick updates only the last is sent."""
        self._wanted = self._allowed(advert)
        self._wake.set()

    def announce_again(self) -> None:
        """Announce once more though nothing changed, as after a sleep (RFC 6762 section 8.3)."""
        self._again = True
        self._wake.set()

    async def wait_first_state(self, timeout_s: float) -> AnnounceState:
        """Wait until the first attempt has ended, or ``timeout_s`` seconds; return the state."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._tried.wait()
        except TimeoutError:
            logger.debug("mDNS is still starting after %s s", timeout_s)
        return self._state

    async def run(self) -> None:
        """Keep the box announced until cancelled, then say goodbye within two seconds.

        Returns at once if discovery is off.
        """
        if not self._settings.enabled:
            self._enter(OFF)
            return
        with network_changes(self._network_changed):
            while True:
                state: AnnounceState | None = FAILED
                with self._announcing:
                    state = await self._announce_or_fail()
                if state is not None:
                    self._enter(state)
                    await self._pause()

    async def _announce_or_fail(self) -> AnnounceState | None:
        """As `_announce`; returns how that failed, None if it did not."""
        try:
            await self._announce()
        except (OSError, zeroconf.Error) as exc:
            return degraded(exc)
        return None

    async def _announce(self) -> None:
        """Register and keep that true; returns when the box was given another name.

        Raises:
            OSError: If mDNS cannot be used, or no longer.
            zeroconf.Error: If the library could not start or find a free name.
        """
        addresses = await self._look()
        async with open_responder(addresses) as responder:
            async with asyncio.timeout(REGISTER_S):
                sent = await self._register(responder, addresses)
            looked_s = sent.at_s
            while instance_name(self._wanted.name) == instance_name(sent.advert.name):
                publish_s = publish_at_s(sent.advert, self._wanted, sent.at_s)
                if self._again:
                    publish_s = -math.inf
                look_s = min(looked_s + POLL_S, self._burst.over_at_s())
                await self._wait_until(min(publish_s, look_s))
                now = self._now()
                if now >= look_s:
                    addresses = await self._look()
                    looked_s = now
                async with asyncio.timeout(PUBLISH_S):
                    if now >= look_s:
                        # Even if no address changed: one that was not usable yet may be now.
                        await use_interfaces(responder, addresses)
                    if now >= publish_s or addresses != sent.addresses:
                        sent = await self._publish(responder, addresses, sent.service_name)

    async def _register(self, responder: AsyncZeroconf, addresses: list[InterfaceAddress]) -> _Sent:
        """Find a free host name and a free service name, and announce the box under them."""
        advert = self._wanted
        derived = host_name(advert.name, advert.server_id)
        choices = itertools.chain(
            (self._host_name, derived), (f"{derived}-{number}" for number in itertools.count(2))
        )
        own = {entry.address for entry in addresses}
        self._host_name = await claim_host_name(responder, choices, own)
        service_name = f"{instance_name(advert.name)}.{SERVICE_TYPE}"
        info = self._service_info(advert, addresses, service_name)
        await (await responder.async_register_service(info, allow_name_change=True))
        return self._report(responder, _Sent(advert, addresses, info.name, self._now()))

    async def _publish(
        self, responder: AsyncZeroconf, addresses: list[InterfaceAddress], service_name: str
    ) -> _Sent:
        """Announce what is wanted now under the names already held."""
        self._again = False
        advert = self._wanted
        info = self._service_info(advert, addresses, service_name)
        await (await responder.async_update_service(info))
        return self._report(responder, _Sent(advert, addresses, service_name, self._now()))

    def _service_info(
        self, advert: Advert, addresses: list[InterfaceAddress], service_name: str
    ) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE,
            service_name,
            port=advert.port,
            properties=txt_record(advert),
            server=f"{self._host_name}.local.",
            parsed_addresses=announced_addresses(addresses),
        )

    def _report(self, responder: AsyncZeroconf, sent: _Sent) -> _Sent:
        """Enter the state that ``sent`` led to, and give it back."""
        name = sent.service_name.removesuffix(f".{SERVICE_TYPE}")
        interfaces = sorted({entry.interface for entry in sent.addresses})
        describe = announced if hears_itself(responder, sent.service_name) else deaf
        self._enter(describe(name, self._host_name, interfaces))
        return sent

    async def _look(self) -> list[InterfaceAddress]:
        """List the addresses that are usable now."""
        self._burst.clear()
        async with asyncio.timeout(LOOK_S):
            return await asyncio.to_thread(self._list_addresses)

    async def _pause(self) -> None:
        """Wait before another attempt: a minute, or until the network has changed."""
        retry_s = self._now() + RETRY_S
        while self._now() < (until_s := min(retry_s, self._burst.over_at_s())):
            await self._wait_until(until_s)

    async def _wait_until(self, at_s: float) -> None:
        """Wait for that loop time, or for news."""
        try:
            async with asyncio.timeout_at(at_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _network_changed(self) -> None:
        self._burst.heard(self._now())
        self._wake.set()

    def _enter(self, state: AnnounceState) -> None:
        if state != self._state:
            level = logging.WARNING if state.kind == "degraded" else logging.INFO
            logger.log(level, "%s", state.sentence)
        self._state = state
        self._tried.set()

    def _allowed(self, advert: Advert) -> Advert:
        return advert if self._settings.mac else dataclasses.replace(advert, mac=None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
