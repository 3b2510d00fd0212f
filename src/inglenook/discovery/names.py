"""The two names of a box on the network, and alternatives when they are taken. Kind: rules."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from inglenook.discovery.advert import ONE_DOT_LEADER, Advert, host_name, instance_name

Part = Literal["instance", "host"]


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a box on the network.

    Attributes:
        instance: Its service's name, such as ``Kitchen`` or ``Kitchen-2``.
        host: Its host name without ``.local``, such as ``kitchen-ab12``.
    """

    instance: str
    host: str


@dataclass(frozen=True, slots=True)
class PreviousNames:
    """Names of a box before its restart; None if unknown, or if its own name has changed."""

    instance: str | None = None
    host: str | None = None


NO_PREVIOUS_NAMES = PreviousNames()


def first_names(advert: Advert, last: PreviousNames) -> Names:
    """Return the first names to try: the last ones, or those derived from the box's own name."""
    base = base_names(advert)
    return Names(last.instance or base.instance, last.host or base.host)


def base_names(advert: Advert) -> Names:
    """Return a box's names if no other device has them."""
    return Names(instance_name(advert.name), host_name(advert.name, advert.server_id))


def next_names(
    names: Names, base: Names, lost: Collection[Part], tried: Collection[Names]
) -> Names:
    """Return the names to try next, where some of ``names`` belong to another device.

    Args:
        names: The last names tried.
        base: Those of `base_names`.
        lost: Which of the two another device has.
        tried: All names tried before, including ``names``.
    """
    if "instance" in lost:
        taken = {other.instance for other in tried}
        names = replace(names, instance=_next(base.instance, taken))
    if "host" in lost:
        taken = {other.host for other in tried}
        names = replace(names, host=_next(base.host, taken))
    return names


def shown_name(advert: Advert, names: Names) -> str:
    """Return a box's name for people: its own, with its number on the network, if any."""
    if names.instance == instance_name(advert.name):
        return advert.name
    return names.instance.replace(ONE_DOT_LEADER, ".")


def _next(base: str, taken: Collection[str]) -> str:
    return next(name for name in _variants(base) if name not in taken)


def _variants(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}-{number}" for number in itertools.count(2))
