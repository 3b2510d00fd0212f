"""Claims the box's names on its links, and holds them against others. Kind: hands."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Collection, Iterable

from inglenook.discovery.advert import Advert, instance_name
from inglenook.discovery.echo_check import EchoCheck
from inglenook.discovery.link import SAME_AGAIN_S, OnLink
from inglenook.discovery.names import (
    Names,
    Part,
    PreviousNames,
    base_names,
    first_names,
    next_names,
)
from inglenook.discovery.rivals import OwnRecords, Rival

logger = logging.getLogger(__name__)

#: Least time between two checks of a rival that uses one of the box's names.
ASK_EVERY_S = 2.0
#: A rival that should give way may never do so; then the box does.
PATIENCE_S = 15.0

#: Of those on a link who call themselves by the box's id, so many are asked at a time; strangers
#: can claim it as often as they like, and would make the box connect to any address.
_ASKED_MAX = 4


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimResult:
    """Result of checking the names.

    Attributes:
        yielded: Names that the box held belong to another device now.
        defended: Another device used them, and has to give way, is silent by now, or is an echo:
            they are to be announced again, because phones may have heard the other last.
    """

    yielded: bool = False
    defended: bool = False


class Claim:
    """The names a box holds, or is about to claim.

    Attributes:
        names: The names. They stay until the owner renames the box, or they are lost.
    """

    def __init__(self, advert: Advert, last: PreviousNames, run_id: str) -> None:
        """Begin with the names before the restart.

        Args:
            advert: The box's advertisement.
            last: Its previous names.
            run_id: Id of this process.
        """
        self.names = first_names(advert, last)
        self._advert = advert
        self._echo_check = EchoCheck(advert.server_id, run_id)
        self._held: Names | None = None
        self._clash_s = math.inf

    def begin(self) -> None:
        """Hold no names: the box is new on its network, where others may have them."""
        self._held = None
        self._clash_s = math.inf

    def doubt_at_s(self, links: Iterable[OnLink], own: frozenset[str]) -> float:
        """Return when to `settle` because a rival was heard (loop time)."""
        return min(
            (link.asked_s + ASK_EVERY_S for link in links if self._is_doubtful(link, own)),
            default=math.inf,
        )

    async def settle(
        self,
        advert: Advert,
        own: frozenset[str],
        links: Collection[OnLink],
        fresh: Collection[OnLink],
    ) -> ClaimResult:
        """Check the names, and claim others where they belong to another device.

        Args:
            advert: The box's advertisement; if its name has changed, that is claimed.
            own: All addresses of the box.
            links: Its links.
            fresh: Links that are new, or where new devices may have come.

        Raises:
            OSError: If the network cannot be used.
        """
        names = self.names
        if instance_name(advert.name) != instance_name(self._advert.name):
            names = dataclasses.replace(names, instance=base_names(advert).instance)
        now = asyncio.get_running_loop().time()
        doubted = {link for link in links if self._is_due(link, own, now)}
        asked = doubted.union(fresh)
        if names != self._held:
            asked = {*links}
        if not asked:
            self._advert = advert
            return ClaimResult()
        self._advert, held, tried = advert, self._held, [names]
        yielded = False
        while True:
            rivals = await self._ask(asked, own, names)
            lost = {rival.part for rival in rivals if not self._stands(rival, names, held)}
            if any(_has(held, names, part) for part in lost):
                # A single packet is no reason to give up a name that people use.
                await asyncio.sleep(SAME_AGAIN_S)
                rivals = await self._ask(asked, own, names, anew=True)
                lost = {rival.part for rival in rivals if not self._stands(rival, names, held)}
            if not lost:
                break
            yielded = yielded or any(_has(held, names, part) for part in lost)
            names = next_names(names, base_names(advert), lost, tried)
            logger.info(
                "another device has the name; trying %s (%s.local)", names.instance, names.host
            )
            tried.append(names)
            # A box that gives way in one name gives way in both: else two boxes might share both.
            asked, held = {*links}, None
            for link in links:
                link.stop_answering()
        self._clash_s = min(self._clash_s, now) if rivals else math.inf
        self.names = self._held = names
        return ClaimResult(yielded=yielded, defended=bool(rivals or doubted))

    async def _ask(
        self, asked: Collection[OnLink], own: frozenset[str], names: Names, *, anew: bool = False
    ) -> list[Rival]:
        """Probe these links for these names; returns the rivals that are real.

        Args:
            asked: The links.
            own: All addresses of the box.
            names: The names.
            anew: Records heard before do not count.
        """
        found = await asyncio.gather(*(self._ask_on(link, own, names, anew=anew) for link in asked))
        return [rival for rivals in found for rival in rivals]

    async def _ask_on(
        self, link: OnLink, own: frozenset[str], names: Names, *, anew: bool
    ) -> list[Rival]:
        since_s = await link.ask(names)
        if anew:
            since_s = link.asked_s
        heard = [*link.observed.rivals(self._mine(link, own, names), since_s)]
        doubtful = [rival for rival in heard if rival.may_be_echo]
        rivals = [rival for rival in heard if not rival.may_be_echo] + doubtful[:_ASKED_MAX]
        link.checked_s = asyncio.get_running_loop().time()
        port = self._advert.port
        real = await asyncio.gather(
            *(self._echo_check.is_real(rival, link.link.interface, port) for rival in rivals)
        )
        return [rival for rival, is_real in zip(rivals, real, strict=True) if is_real]

    def _stands(self, rival: Rival, names: Names, held: Names | None) -> bool:
        """Return whether the box keeps a name that the rival has, too."""
        if held is None or rival.wins:
            return False
        has_it = (
            names.instance == held.instance if rival.part == "instance" else names.host == held.host
        )
        return has_it and asyncio.get_running_loop().time() - self._clash_s < PATIENCE_S

    def _is_due(self, link: OnLink, own: frozenset[str], now: float) -> bool:
        return now >= link.asked_s + ASK_EVERY_S and self._is_doubtful(link, own)

    def _is_doubtful(self, link: OnLink, own: frozenset[str]) -> bool:
        """Return whether there is a rival for these names that was not checked, or is real."""
        if self._held is None:
            return False
        rivals = link.observed.rivals(self._mine(link, own, self.names), link.checked_s)
        port = self._advert.port
        return self._clash_s < math.inf or any(
            self._echo_check.may_be_real(r, port) for r in rivals
        )

    def _mine(self, link: OnLink, own: frozenset[str], names: Names) -> OwnRecords:
        advert = self._advert
        return OwnRecords(names, advert.server_id, advert.port, link.link.announced, own)


def _has(held: Names | None, names: Names, part: Part) -> bool:
    """Whether this part of the names is one that the box holds already."""
    if held is None:
        return False
    return held.instance == names.instance if part == "instance" else held.host == names.host
