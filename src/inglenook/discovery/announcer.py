"""Keeps the box announced by mDNS while its name, addresses and state change. Kind: hands."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

import zeroconf
from zeroconf.asyncio import AsyncServiceInfo

from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.discovery.addresses import InterfaceAddress, links_of
from inglenook.discovery.advert import SERVICE_TYPE, Advert, txt_record
from inglenook.discovery.announcer_events import AnnouncerEvents
from inglenook.discovery.claim import Claim, ClaimResult
from inglenook.discovery.interfaces import list_addresses
from inglenook.discovery.link import OnLink
from inglenook.discovery.links import Links
from inglenook.discovery.names import NO_PREVIOUS_NAMES, Names, PreviousNames, shown_name
from inglenook.discovery.netlink import network_changes
from inglenook.discovery.pacing import publish_at_s
from inglenook.discovery.settings import DiscoverySettings
from inglenook.discovery.state import FAILED, OFF, STARTING, AnnounceState, announced, degraded

logger = logging.getLogger(__name__)

RETRY_S = 60.0
LOOK_S = 5.0
SETTLE_S = 10.0
CLAIM_S = 30.0
PUBLISH_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Sent:
    """The present announcement, its names, and its time (loop time)."""

    advert: Advert
    names: Names
    at_s: float


class Announcer:
    """Announces one box; errors of the network are in ``state``, and never raised."""

    def __init__(
        self,
        settings: DiscoverySettings,
        advert: Advert,
        *,
        run_id: str,
        last_names: PreviousNames = NO_PREVIOUS_NAMES,
        addresses: Callable[[], list[InterfaceAddress]] = list_addresses,
        renamed: Callable[[], None] = lambda: None,
    ) -> None:
        """Send nothing before ``run``.

        Args:
            settings: The operator's settings.
            advert: The first advertisement.
            run_id: Id of this process, as in ``/.well-known/inglenook``.
            last_names: The box's names before its restart.
            addresses: Lists the box's addresses; called in a thread.
            renamed: Called when the box has another name or host name.
        """
        self._settings = settings
        self._wanted = self._allowed(advert)
        self._list_addresses = addresses
        self._claim = Claim(self._wanted, last_names, run_id)
        self._state = STARTING
        self._tried = asyncio.Event()
        self._events = AnnouncerEvents()
        self._again = False
        self._renamed = renamed
        self._telling = Guard("news of the box's name")
        self._announcing = TaskGuard("announcing the box")

    @property
    def state(self) -> AnnounceState:
        """The state of the announcement."""
        return self._state

    @property
    def names(self) -> Names:
        """The box's names on the network; to be stored for ``last_names``."""
        return self._claim.names

    @property
    def host_name(self) -> str:
        """The host name in use, without ``.local``."""
        return self.names.host

    @property
    def name(self) -> str:
        """The box's name for people, as on the network; its own before it is announced."""
        wanted = self._wanted
        return shown_name(wanted, self.names) if self._settings.enabled else wanted.name

    def update(self, advert: Advert) -> None:
        """Announce this from now on; of several quick updates only the last is sent."""
        self._wanted = self._allowed(advert)
        self._events.wake()

    def announce_again(self) -> None:
        """Announce once more though nothing changed, as after a sleep (RFC 6762 section 8.3)."""
        self._again = True
        self._events.wake()

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
        with network_changes(self._events.network_changed):
            while True:
                state = FAILED
                with self._announcing:
                    state = await self._announce_until_it_fails()
                self._enter(state)
                await self._pause()

    async def _announce_until_it_fails(self) -> AnnounceState:
        """Register and keep that true; returns how that failed."""
        try:
            async with Links(self._events.wake) as links:
                await self._announce(links)
        except (OSError, zeroconf.Error) as exc:
            return degraded(exc)

    async def _announce(self, links: Links) -> NoReturn:
        """Register and keep that true, on all links.

        Raises:
            OSError: If mDNS cannot be used (any longer).
            zeroconf.Error: If the library could not start.
        """
        sent: _Sent | None = None
        own: frozenset[str] = frozenset()
        self._claim.begin()
        self._events.forget()
        while True:
            again, self._again = self._again, False
            fresh: list[OnLink] = []
            changed: list[OnLink] = []
            if again or self._now() >= self._events.look_at_s:
                addresses = await self._look()
                own = frozenset(entry.address for entry in addresses)
                async with asyncio.timeout(SETTLE_S):
                    fresh, changed = await links.settle(links_of(addresses))
            settled = await self._settle_names(own, links, [*links] if again else fresh)
            if sent is None or again or settled.defended or self._is_due(sent):
                sent = await self._publish(self._wanted, links, links, settled)
            elif changed:
                # On other links nothing has changed, or it is too early to announce it.
                later = await self._publish(sent.advert, changed, links, settled)
                sent = dataclasses.replace(later, at_s=sent.at_s)
            await self._events.wait_until(
                min(
                    publish_at_s(sent.advert, self._wanted, sent.at_s),
                    self._events.look_at_s,
                    self._claim.doubt_at_s(links, own),
                )
            )

    async def _settle_names(
        self, own: frozenset[str], links: Links, fresh: Collection[OnLink]
    ) -> ClaimResult:
        """Check the box's names, and report new ones."""
        before = self.names
        async with asyncio.timeout(CLAIM_S):
            settled = await self._claim.settle(self._wanted, own, [*links], fresh)
        if self.names != before:
            with self._telling:
                self._renamed()
        return settled

    def _is_due(self, sent: _Sent) -> bool:
        if self.names != sent.names:
            return True
        return self._now() >= publish_at_s(sent.advert, self._wanted, sent.at_s)

    async def _publish(
        self, advert: Advert, on: Iterable[OnLink], links: Links, settled: ClaimResult
    ) -> _Sent:
        """Announce this on some of the links, under the box's names."""
        names = self.names
        async with asyncio.timeout(PUBLISH_S):
            await asyncio.gather(
                *(
                    link.say(self._service_info(advert, names, link), yielding=settled.yielded)
                    for link in on
                )
            )
        interfaces = [link.link.interface for link in links]
        silent = [link.link.interface for link in links if not link.hears_itself(names)]
        self._enter(announced(names.instance, names.host, interfaces, silent))
        return _Sent(advert, names, self._now())

    @staticmethod
    def _service_info(advert: Advert, names: Names, link: OnLink) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE,
            f"{names.instance}.{SERVICE_TYPE}",
            port=advert.port,
            properties=txt_record(advert),
            server=f"{names.host}.local.",
            parsed_addresses=[*link.link.announced],
        )

    async def _look(self) -> list[InterfaceAddress]:
        """List the addresses that are usable now."""
        self._events.look_begun()
        async with asyncio.timeout(LOOK_S):
            return await asyncio.to_thread(self._list_addresses)

    async def _pause(self) -> None:
        """Wait before another attempt: a minute, or until the network has changed."""
        retry_s = self._now() + RETRY_S
        while self._now() < (until_s := min(retry_s, self._events.settled_at_s)):
            await self._events.wait_until(until_s)

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
