"""All links of the box together: opened, moved and closed as the network changes. Kind: hands."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from types import TracebackType

import zeroconf

from inglenook.common.guarded import Guard
from inglenook.discovery.addresses import Link
from inglenook.discovery.link import OnLink

logger = logging.getLogger(__name__)


class Links:
    """Context of the open links; closes them all, with a goodbye on each."""

    def __init__(self, noticed: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            noticed: Called when another device's records with the box's names were received.
        """
        self._noticed = noticed
        self._open: dict[str, OnLink] = {}
        self._closing = Guard("closing mDNS")

    def __iter__(self) -> Iterator[OnLink]:
        """Return the open links, by name of the interface."""
        return iter([self._open[interface] for interface in sorted(self._open)])

    async def __aenter__(self) -> Links:
        """Do nothing."""
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close them all at the same time, because each takes a moment."""
        closing, self._open = list(self._open.values()), {}
        await asyncio.gather(*(self._close(link) for link in closing))

    async def settle(self, wanted: dict[str, Link]) -> tuple[list[OnLink], list[OnLink]]:
        """Open these links, and close all others.

        Returns:
            Links that are new or were down meanwhile, so that other devices may have come; and
            links on which the box is to be announced, with other addresses or again.

        Raises:
            OSError: If none is left.
            zeroconf.Error: If the library could not start.
        """
        for interface in [*self._open]:
            link = wanted.get(interface)
            if link is None or link.index != self._open[interface].link.index:
                await self._close(self._open.pop(interface))
        fresh: list[OnLink] = []
        changed: list[OnLink] = []
        failure: Exception = OSError(errno.ENODEV, "no interface for multicast")
        for interface, link in wanted.items():
            try:
                await self._settle(interface, link, fresh, changed)
            except (OSError, zeroconf.Error) as exc:
                logger.debug("no mDNS on %s: %s", interface, exc)
                failure = exc
                if interface in self._open:
                    await self._close(self._open.pop(interface))
        if not self._open:
            raise failure
        return fresh, changed

    async def _close(self, link: OnLink) -> None:
        """Close a link's sockets; after an unexpected error a second time, at once."""
        with self._closing:
            await link.close()
            return
        await link.close()

    async def _settle(
        self, interface: str, link: Link, fresh: list[OnLink], changed: list[OnLink]
    ) -> None:
        there = self._open.get(interface)
        if there is None:
            there = self._open[interface] = await OnLink.open(link, self._noticed)
            fresh.append(there)
            changed.append(there)
            return
        before = there.link
        # Even if no address changed: one that was not usable yet may be now.
        moves = before.sending != link.sending or not there.is_whole
        if moves:
            await there.move(link)
        there.link = link
        if before.carrier_ups != link.carrier_ups:
            fresh.append(there)
        if moves or before != link:
            changed.append(there)
