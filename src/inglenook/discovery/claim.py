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

#: Whoever is heard with one of the box's names is asked about at most so often.
ASK_EVERY_S = 2.0
#: A rival to whom the box need not give way may be one that never does; then the box does.
PATIENCE_S = 15.0

#: Of those on a link who call themselves by the box's id, so many are asked at a time; strangers
#: can claim it as often as they like, and would have the box call whoever they name.
_ASKED_MAX = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Settled:
    """What came of looking at the names.

    Attributes:
        yielded: Names that the box held belong to somebody else now.
        defended: Somebody else used them, and has to give way, is silent by now, or is an echo:
            they are to be announced again, as phones may have heard the other last.
    """

    yielded: bool = False
    defended: bool = False


class Claim:
    """The names a box has, or is about to take.

    Attributes:
        names: These. They stay until the owner calls the box otherwise, or they are lost.
    """

    def __init__(self, advert: Advert, last: PreviousNames, run_id: str) -> None:
        """Begin with the names of the last life.

        Args:
            advert: Whose names.
            last: What it was called.
            run_id: Of this process.
        """
        self.names = first_names(advert, last)
        self._advert = advert
        self._judge = EchoCheck(advert.server_id, run_id)
        self._held: Names | None = None
        self._clash_s = math.inf

    def begin(self) -> None:
        """Hold nothing: the box has just come to its network, where others may be."""
        self._held = None
        self._clash_s = math.inf

    def doubt_at_s(self, links: Iterable[OnLink], own: frozenset[str]) -> float:
        """Say when to `settle` because somebody was heard with these names (loop time)."""
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
    ) -> Settled:
        """Make sure of the names, and take others where they belong to somebody else.

        Args:
            advert: Whose names; with another name in it, that is claimed.
            own: All addresses of the box.
            links: Where it is.
            fresh: Where somebody else may have come, or the box itself.

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
            return Settled()
        self._advert, held, tried = advert, self._held, [names]
        yielded = False
        while True:
            rivals = await self._ask(asked, own, names)
            lost = {rival.part for rival in rivals if not self._stands(rival, names, held)}
            if any(_has(held, names, part) for part in lost):
                # One packet, of whomever, is no reason to give up a name that people use.
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
            # Who gives way in one gives way in both: else two boxes might share what both have.
            asked, held = {*links}, None
            for link in links:
                link.fall_silent()
        self._clash_s = min(self._clash_s, now) if rivals else math.inf
        self.names = self._held = names
        return Settled(yielded=yielded, defended=bool(rivals or doubted))

    async def _ask(
        self, asked: Collection[OnLink], own: frozenset[str], names: Names, *, anew: bool = False
    ) -> list[Rival]:
        """Ask on these links who has these names; returns those who really are there.

        Args:
            asked: The links.
            own: All addresses of the box.
            names: Which.
            anew: What was heard before does not count.
        """
        found = await asyncio.gather(*(self._ask_on(link, own, names, anew=anew) for link in asked))
        return [rival for rivals in found for rival in rivals]

    async def _ask_on(
        self, link: OnLink, own: frozenset[str], names: Names, *, anew: bool
    ) -> list[Rival]:
        since_s = await link.ask(names)
        if anew:
            since_s = link.asked_s
        heard = [*link.hearsay.rivals(self._mine(link, own, names), since_s)]
        doubtful = [rival for rival in heard if rival.may_be_echo]
        rivals = [rival for rival in heard if not rival.may_be_echo] + doubtful[:_ASKED_MAX]
        link.judged_s = asyncio.get_running_loop().time()
        port = self._advert.port
        real = await asyncio.gather(
            *(self._judge.is_real(rival, link.link.interface, port) for rival in rivals)
        )
        return [rival for rival, is_real in zip(rivals, real, strict=True) if is_real]

    def _stands(self, rival: Rival, names: Names, held: Names | None) -> bool:
        """Whether the box keeps a name that this one has, too."""
        if held is None or rival.wins:
            return False
        has_it = (
            names.instance == held.instance if rival.part == "instance" else names.host == held.host
        )
        return has_it and asyncio.get_running_loop().time() - self._clash_s < PATIENCE_S

    def _is_due(self, link: OnLink, own: frozenset[str], now: float) -> bool:
        return now >= link.asked_s + ASK_EVERY_S and self._is_doubtful(link, own)

    def _is_doubtful(self, link: OnLink, own: frozenset[str]) -> bool:
        """Whether somebody was heard with these names who has not been asked, or was and stayed."""
        if self._held is None:
            return False
        rivals = link.hearsay.rivals(self._mine(link, own, self.names), link.judged_s)
        port = self._advert.port
        return self._clash_s < math.inf or any(self._judge.may_be_real(r, port) for r in rivals)

    def _mine(self, link: OnLink, own: frozenset[str], names: Names) -> OwnRecords:
        advert = self._advert
        return OwnRecords(names, advert.server_id, advert.port, link.link.announced, own)


def _has(held: Names | None, names: Names, part: Part) -> bool:
    """Whether this part of the names is one that the box holds already."""
    if held is None:
        return False
    return held.instance == names.instance if part == "instance" else held.host == names.host
