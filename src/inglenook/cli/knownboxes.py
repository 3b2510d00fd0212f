"""The boxes this user's terminal has met: what wakes them, and where they answer then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import msgspec

from inglenook.cli.kept import Entries, KeptFile
from inglenook.cli.output import note
from inglenook.discovery.advert import MAC, clean_text
from inglenook.discovery.box import Box
from inglenook.errors import StartupError

#: The latest; strangers can announce as many as they like.
_BOXES_MAX = 64

#: Of addresses of one kind that a box has had, the latest.
_ADDRESSES_MAX = 8

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


def announced(box: Box) -> KnownBox | None:
    """What can be kept of a box found by mDNS; None if it did not say who it is."""
    if box.server_id is None:
        return None
    macs = (box.mac,) if box.mac else ()
    # The name is still right when the router has given it another address.
    urls = (box.url, f"http://{box.host_name}:{box.port}")
    return KnownBox(box.server_id, box.name, macs, urls)


def paired(name: str, answer: Mapping[str, Any]) -> KnownBox | None:
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
        note(f"inglenook: {exc}")


class KnownBoxes:
    """Kept in ``$XDG_DATA_HOME/inglenook/boxes.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = KeptFile(environ, "boxes.json", "and run `inglenook find` again")

    def all(self) -> list[KnownBox]:
        """Give them, those met last at the end.

        Raises:
            StartupError: If the file cannot be read.
        """
        return list(self._boxes(self._file.read()).values())

    def learn(self, boxes: Iterable[KnownBox]) -> None:
        """Keep what is known of these now, beside older addresses of theirs.

        Raises:
            StartupError: If the file cannot be read or written.
        """
        met = list(boxes)

        def learnt(entries: Entries) -> dict[str, Any]:
            kept = self._boxes(entries)
            for box in met:
                before = kept.pop(box.server_id, box)
                # A box that was set up anew has another id, and is the same machine.
                kept = {name: old for name, old in kept.items() if not {*old.macs} & {*box.macs}}
                macs, urls = (*box.macs, *before.macs), (*box.urls, *before.urls)
                kept[box.server_id] = replace(box, macs=_latest(macs), urls=_latest(urls))
            latest = list(kept.values())[-_BOXES_MAX:]
            return {box.server_id: asdict(box) for box in latest}

        self._file.change(learnt)

    def _boxes(self, entries: Entries) -> dict[str, KnownBox]:
        try:
            return msgspec.convert(entries, dict[str, KnownBox])
        except msgspec.ValidationError as exc:
            raise self._file.damaged() from exc


def _latest(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))[:_ADDRESSES_MAX]
