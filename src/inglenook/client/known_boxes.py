"""The boxes this terminal has met: how to wake them, and their addresses. Kind: hands."""

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

#: The latest; strangers can announce as many as they like.
_BOXES_MAX = 64

#: Of addresses of one kind that a box has had, the latest.
_ADDRESSES_MAX = 8

#: A host name as boxes have it; anybody can announce any other, which may not even stand in a URL.
_HOST_NAME = re.compile(r"[A-Za-z0-9-]{1,63}\.local")

Mac = Annotated[str, msgspec.Meta(pattern=f"^{MAC.pattern}$")]


@dataclass(frozen=True, slots=True)
class KnownBox:
    """A box as it was when it was awake.

    Attributes:
        server_id: What it is recognised by.
        name: As people see it.
        macs: Hardware addresses that wake it, best first; may be none.
        urls: Where it answered, best first.
    """

    server_id: str
    name: str
    macs: tuple[Mac, ...]
    urls: tuple[str, ...]

    def is_called(self, text: str) -> bool:
        """Whether somebody may mean it by this name or id."""
        return text.strip().casefold() in (self.server_id, self.name.casefold())

    @property
    def host_names(self) -> set[str]:
        """What it was called by mDNS; of two that are on at the same time no name is the same."""
        hosts = map(_host_of, self.urls)
        return {host for host in hosts if host.endswith(".local")}


def from_announcement(found: FoundBox) -> KnownBox | None:
    """What can be kept of a box found by mDNS; None if it did not say who it is."""
    box = found.box
    if box.server_id is None:
        return None
    macs = (box.mac,) if box.mac else ()
    # The name is still right when the router has given it another address.
    scheme = urlsplit(found.url).scheme
    urls = found.urls[: _ADDRESSES_MAX - 1]
    if _HOST_NAME.fullmatch(box.host_name):
        urls = (*urls, f"{scheme}://{box.host_name}:{box.port}")
    return KnownBox(box.server_id, box.name, macs, urls)


def from_pairing(name: str, answer: Mapping[str, Any]) -> KnownBox | None:
    """What can be kept of an answer to ``POST /pair``; None if it makes no sense."""
    facts = {"server_id": answer.get("server_id"), "name": clean_text(name)}
    try:
        return msgspec.convert(
            {**facts, "macs": answer.get("mac"), "urls": answer.get("urls")}, KnownBox
        )
    except msgspec.ValidationError:
        return None


def remember(environ: Mapping[str, str], met: Iterable[KnownBox | None]) -> None:
    """Keep what was met on the way; if it cannot be kept that is told, and harms nothing else."""
    boxes = [box for box in met if box is not None]
    try:
        if boxes:
            KnownBoxes(environ).learn(boxes)
    except StartupError as exc:
        log.warning("inglenook: %s", exc)


def distinguishing(boxes: Sequence[KnownBox]) -> str:
    """By what to name one of several boxes: ids, or cards where boxes have one id."""
    ids = [box.server_id for box in boxes]
    if len(set(ids)) == len(ids):
        return f"give the id: {' or '.join(ids)}"
    listed = " or ".join(f"{box.macs[0]} ({box.name})" for box in boxes if box.macs)
    return f"give the MAC address: {listed}" if listed else "and none has said its MAC address"


class KnownBoxes:
    """Kept in ``$XDG_DATA_HOME/inglenook/boxes.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = UserStateFile(environ, "boxes.json")

    def all(self) -> list[KnownBox]:
        """Give them, those met last at the end.

        Raises:
            StartupError: If the file cannot be read.
        """
        return list(self._file.read(KnownBox).values())

    def learn(self, boxes: Iterable[KnownBox]) -> None:
        """Keep what is known of these now, beside older addresses of theirs.

        Several with one id, met together, are machines with copies of one SD card, and stay apart.

        Raises:
            StartupError: If the file cannot be read or written.
        """
        met = list(boxes)

        def learnt(entries: dict[str, KnownBox]) -> dict[str, KnownBox]:
            kept, learnt = list(entries.values()), list[KnownBox]()
            times = Counter(box.server_id for box in met)
            for box in met:
                before = _same_machine(box, kept, learnt, alone=times[box.server_id] == 1) or box
                # A box that was set up anew has another id, and is the same machine.
                kept, learnt = (
                    [old for old in olds if old is not before and not {*old.macs} & {*box.macs}]
                    for olds in (kept, learnt)
                )
                macs, urls = (*box.macs, *before.macs), (*box.urls, *before.urls)
                learnt.append(replace(box, macs=_latest(macs), urls=_latest(urls)))
            return _named([*kept, *learnt][-_BOXES_MAX:])

        self._file.change(KnownBox, learnt)


def _host_of(url: str) -> str:
    """Which host a URL leads to; empty if it makes no sense, as with what strangers said."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _latest(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))[:_ADDRESSES_MAX]


def _same_machine(
    box: KnownBox, kept: Iterable[KnownBox], learnt: Iterable[KnownBox], *, alone: bool
) -> KnownBox | None:
    """What is known already of the machine that a box is; None if nothing is.

    Its id alone does not tell: machines with copies of one SD card share that.

    Args:
        box: As it was met now.
        kept: What is known from before.
        learnt: What was met just now and is another machine, unless a network card says otherwise.
        alone: No other of this id was met just now.
    """
    kept = [old for old in kept if old.server_id == box.server_id]
    for old in (*kept, *learnt):
        if old.server_id == box.server_id and {*old.macs} & {*box.macs}:
            return old
    for old in kept:
        if old.host_names & box.host_names:
            return old
    others = [
        old for old in kept if not (old.macs and box.macs and old.host_names and box.host_names)
    ]
    return others[-1] if alone and others else None


def _named(boxes: Iterable[KnownBox]) -> dict[str, KnownBox]:
    """Boxes as they are written: by id, those that share one with a number behind it."""
    entries: dict[str, KnownBox] = {}
    for box in boxes:
        names = (f"{box.server_id}-{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([box.server_id], names) if name not in entries)
        entries[name] = box
    return entries
