"""When conversations began, over the daemon's lives. Kind: hands.

The file lies beside what the engine keeps of conversations, and is forgotten with that. Only
digests of what was said are in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from inglenook.common.wholefile import write_whole
from inglenook.engine.orders import ChatMessage
from inglenook.serving.conversation_dates import ConversationDates, StartTime, StartTimes
from inglenook.serving.journal.moments import Moment, read_moment

log = logging.getLogger(__name__)

#: What is new waits so long, seconds: cards wear out by writing. Only of a kill is it lost, and
#: matters only at midnight.
_WRITE_EVERY_S: Final = 60.0

#: Of the file; a larger one is none of ours.
_BYTES_MAX: Final = 2**20

_decode = msgspec.msgpack.Decoder(list[StartTimes]).decode


class DateStore:
    """Knows when conversations began, and keeps that on the disk if a template needs it.

    Attributes:
        needed: The model is told the date, so what is known is written.
    """

    def __init__(
        self, path: Path | None = None, moment: Callable[[], Moment] = read_moment
    ) -> None:
        """Nothing is read before `load`.

        Args:
            path: The file; None keeps nothing.
            moment: Reads the clocks.
        """
        self.needed = False
        self._path = path
        self._moment = moment
        self._dates = ConversationDates()
        self._written: list[StartTimes] = []
        self._forgotten = asyncio.Event()

    def began(self, messages: Sequence[ChatMessage], *, typing: bool = False) -> float:
        """See `ConversationDates.began`."""
        now = self._moment()
        when = StartTime(now.wall_s, now.boottime_s, now.boot_id)
        return self._dates.began(messages, when, typing=typing)

    def forget(self) -> None:
        """Know of no conversation any more, here and soon on the disk."""
        self._dates.forget()
        self._forgotten.set()

    async def load(self) -> None:
        """Read what an earlier life has written; a file that is damaged says nothing."""
        if self._path is not None:
            self._written = await asyncio.to_thread(_read, self._path)
            self._dates.add(self._written)

    async def run(self) -> None:
        """Write what is new, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_EVERY_S):
                    await self._forgotten.wait()
            self._forgotten.clear()
            await self.write()

    async def write(self) -> None:
        """Write what is new; if the disk fails, that is tried again the next time."""
        kept = self._dates.kept()
        # In which order they were used is not worth a write.
        if self._path is None or set(kept) == set(self._written):
            return
        if kept and not self.needed:
            return
        try:
            await asyncio.to_thread(_write, self._path, kept)
            self._written = kept
        except OSError as exc:
            log.debug("%s: cannot be written: %s", self._path, exc.strerror)


def _read(path: Path) -> list[StartTimes]:
    try:
        with path.open("rb") as file:
            return _decode(file.read(_BYTES_MAX))
    except (OSError, msgspec.MsgspecError):
        return []


def _write(path: Path, kept: Sequence[StartTimes]) -> None:
    if not kept:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, msgspec.msgpack.encode(kept), mode=0o600)
