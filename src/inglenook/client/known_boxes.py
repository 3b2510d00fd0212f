"""The boxes that this terminal has met: MAC addresses and URLs. Kind: hands."""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from inglenook.client.user_state import UserStateFile
from inglenook.common.errors import StartupError
from inglenook.common.network_cards import MAC
from inglenook.discovery.advert import clean_text
from inglenook.discovery.found_box import FoundBox

log = logging.getLogger(__name__)

#: Only the latest are stored, because any machine can announce any number of boxes.
_BOXES_MAX = 64

#: The latest addresses of one kind that are stored for a box.
_ADDRESSES_MAX = 8

#: A box's host name; announcements of others may have any, even ones no URL can hold.
_HOST_NAME = re.compile(r"[A-Za-z0-9-]{1,63}\.local")

Mac = Annotated[str, msgspec.Meta(pattern=f"^{MAC.pattern}$")]


@dataclass(frozen=True, slots=True)
class KnownBox:
    """A box as it was when it was awake.

    Attributes:
        server_id: The id by which it is recognised.
        name: Its display name.
        macs: MAC addresses that wake it, best first; may be none.
        urls: Addresses at which it answered, best first.
    """

    server_id: str
    name: str
    macs: tuple[Mac, ...]
    urls: tuple[str, ...]

    def is_called(self, text: str) -> bool:
        """Whether a text is its name or id."""
        return text.strip().casefold() in (self.server_id, self.name.casefold())

    @property
    def host_names(self) -> set[str]:
        """Its mDNS names, which are unique among boxes that are on at the same time."""
        hosts = map(_host_of, self.urls)
        return {host for host in hosts if host.endswith(".local")}


def from_announcement(found: FoundBox) -> KnownBox | None:
    """The known box of one found by mDNS; None if it announces no id."""
    box = found.box
    if box.server_id is None:
        return None
    macs = (box.mac,) if box.mac else ()
    # The host name stays right if the router assigns another address.
    scheme = urlsplit(found.url).scheme
    urls = found.urls[: _ADDRESSES_MAX - 1]
    if _HOST_NAME.fullmatch(box.host_name):
        urls = (*urls, f"{scheme}://{box.host_name}:{box.port}")
    return KnownBox(box.server_id, box.name, macs, urls)


def from_pairing(name: str, answer: Mapping[str, Any]) -> KnownBox | None:
    """The known box of a reply to ``POST /pair``; None if that is malformed."""
    facts = {"server_id": answer.get("server_id"), "name": clean_text(name)}
    try:
        return msgspec.convert(
            {**facts, "macs": answer.get("mac"), "urls": answer.get("urls")}, KnownBox
        )
    except msgspec.ValidationError:
        return None


def remember(environ: Mapping[str, str], met: Iterable[KnownBox | None]) -> None:
    """Store boxes; if that fails it is logged, and has no other effect."""
    boxes = [box for box in met if box is not None]
    try:
        if boxes:
            KnownBoxes(environ).learn(boxes)
    except StartupError as exc:
        log.warning("inglenook: %s", exc)


def distinguishing(boxes: Sequence[KnownBox]) -> str:
    """The ways to name one of several boxes: ids, or MAC addresses if they share an id."""
    ids = [box.server_id for box in boxes]
    if len(set(ids)) == len(ids):
        return f"give the id: {' or '.join(ids)}"
    listed = " or ".join(f"{box.macs[0]} ({box.name})" for box in boxes if box.macs)
    return f"give the MAC address: {listed}" if listed else "and none has announced its MAC address"


class KnownBoxes:
    """Known boxes in ``$XDG_DATA_HOME/inglenook/boxes.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = UserStateFile(environ, "boxes.json")

    def all(self) -> list[KnownBox]:
        """Return all boxes, the latest last.

        Raises:
            StartupError: If the file cannot be read.
        """
        return list(self._file.read(KnownBox).values())

    def learn(self, boxes: Iterable[KnownBox]) -> None:
        """Store boxes as they are now, with their older addresses.

        Several with one id, met at once, are machines with copies of one SD card, and stay apart.

        Raises:
            StartupError: If the file cannot be read or written.
        """
        met = list(boxes)

        def learnt(entries: dict[str, KnownBox]) -> dict[str, KnownBox]:
            stored, learnt = list(entries.values()), list[KnownBox]()
            times = Counter(box.server_id for box in met)
            for box in met:
                before = _same_machine(box, stored, learnt, alone=times[box.server_id] == 1) or box
                # A box that was set up anew has another id, but the same card.
                stored, learnt = (
                    [old for old in olds if old is not before and not {*old.macs} & {*box.macs}]
                    for olds in (stored, learnt)
                )
                macs, urls = (*box.macs, *before.macs), (*box.urls, *before.urls)
                learnt.append(replace(box, macs=_latest(macs), urls=_latest(urls)))
            return _named([*stored, *learnt][-_BOXES_MAX:])

        self._file.change(KnownBox, learnt)


def _host_of(url: str) -> str:
    """The host of a URL; empty if the URL is malformed, as announced ones may be."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _latest(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))[:_ADDRESSES_MAX]


def _same_machine(
    box: KnownBox, stored: Iterable[KnownBox], learnt: Iterable[KnownBox], *, alone: bool
) -> KnownBox | None:
    """The entry of the machine that a box is; None if there is none.

    The id alone is not enough: machines with copies of one SD card share it.

    Args:
        box: As it was met now.
        stored: Entries from before.
        learnt: Entries of this call: other machines, unless they share a network card.
        alone: No other box with this id was met in this call.
    """
    stored = [old for old in stored if old.server_id == box.server_id]
    for old in (*stored, *learnt):
        if old.server_id == box.server_id and {*old.macs} & {*box.macs}:
            return old
    for old in stored:
        if old.host_names & box.host_names:
            return old
    others = [
        old for old in stored if not (old.macs and box.macs and old.host_names and box.host_names)
    ]
    return others[-1] if alone and others else None


def _named(boxes: Iterable[KnownBox]) -> dict[str, KnownBox]:
    """Boxes by their key in the file: the id, with a number for boxes that share it."""
    entries: dict[str, KnownBox] = {}
    for box in boxes:
        names = (f"{box.server_id}-{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([box.server_id], names) if name not in entries)
        entries[name] = box
    return entries
