"""Boxes among the answers to a search, and their addresses. Kind: rules.

Announcements may be false. A router that repeats mDNS between networks has a cache: it announces a
box for an hour after it was switched off, and one that has just started under its last name and
address, too. A copied SD card makes two boxes with one id and one TLS key. Only answers from the
addresses tell these cases apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inglenook.discovery.box import Box, BoxHello

#: Cure for a box and its copy.
TWIN_CURE = (
    "one runs from a copy of the other's SD card: on one of them stop the box, remove server_id,"
    " devices.json, host_name, instance_name and tls.* from its state folder, start it, and pair"
    " its phones anew"
)

#: By URL, the facts of the box that answers there; None without an answer from a box.
Answers = Mapping[str, BoxHello | None]


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An announced box, and its own answer.

    Attributes:
        box: Its announcement.
        urls: Its URLs, best first: those that answer, or the announced ones if none does.
        hello: Its public facts; None if it does not answer.
    """

    box: Box
    urls: tuple[str, ...]
    hello: BoxHello | None = None

    @property
    def url(self) -> str:
        """The best of its addresses."""
        return self.urls[0]


@dataclass(frozen=True, slots=True)
class _Place:
    """An address at which an announced box answers."""

    box: Box
    url: str
    hello: BoxHello

    @property
    def host(self) -> str:
        """The same at all addresses of one machine, and different on others."""
        return self.hello.run_id or self.box.host_name


def boxes_found(announced: Iterable[Box], answers: Answers) -> list[FoundBox]:
    """Return the boxes by name; each machine once, whatever names it is announced by.

    Of several announcements with one id those with an answer count. If there is no answer, there is
    one entry for the id.
    """
    by_id: dict[str, list[Box]] = {}
    nameless: list[FoundBox] = []
    for box in sorted(announced, key=lambda box: box.name):
        if box.server_id is not None:
            by_id.setdefault(box.server_id, []).append(box)
        else:
            places = _places([box], answers)
            nameless += _machines(places) or [FoundBox(box, box.urls)]
    found = [each for boxes in by_id.values() for each in _of_one_id(boxes, answers)]
    return sorted([*found, *nameless], key=lambda each: (each.box.name, each.box.server_id or ""))


def twins(found: Sequence[FoundBox]) -> list[list[FoundBox]]:
    """Return the groups of boxes that have one id and all answer: different machines."""
    by_id: dict[str, list[FoundBox]] = {}
    for each in found:
        if each.hello is not None and each.box.server_id is not None:
            by_id.setdefault(each.box.server_id, []).append(each)
    return [same for same in by_id.values() if len(same) > 1]


def _of_one_id(boxes: list[Box], answers: Answers) -> list[FoundBox]:
    return _machines(_places(boxes, answers)) or [FoundBox(boxes[0], boxes[0].urls)]


def _places(boxes: Iterable[Box], answers: Answers) -> list[_Place]:
    return [
        _Place(box, url, hello)
        for box in boxes
        for address in box.urls
        # The announced port may be the one for TLS, if there is no other.
        for url in (address, address.replace("http:", "https:", 1))
        if (hello := answers.get(url)) is not None and box.server_id in (None, hello.server_id)
    ]


def _machines(places: list[_Place]) -> list[FoundBox]:
    by_host: dict[str, list[_Place]] = {}
    for place in places:
        by_host.setdefault(place.host, []).append(place)
    taken: set[str] = set()
    found = []
    for same in by_host.values():
        # Two machines that answer for one host name have each other's addresses, and one its name;
        # a machine that had another name shortly before answers under both.
        box = min(
            (place.box for place in same),
            key=lambda box: (box.name in taken, box.name != same[0].hello.name),
        )
        taken.add(box.name)
        urls = tuple(dict.fromkeys(place.url for place in same))
        found.append(FoundBox(box, urls, same[0].hello))
    return found
