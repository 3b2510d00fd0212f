"""Keeps answers on disk: when to write, sync, empty the log and remove. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from inglenook.serving.journal.access import JournalAccess
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.response_parts import Change

log = logging.getLogger(__name__)

#: What may be lost with the power, seconds of shown text. Syncing more often wears out SD cards.
SYNC_EVERY_S = 5.0

#: How often the journal notes that there is a daemon, while an answer waits that says nothing: the
#: age of unfinished answers after a kill counts from there. At most, and as a share of the age at
#: which they are too old.
_NOTE_EVERY_S, _NOTE_PART = 60.0, 0.25

#: The log is emptied whenever nothing is written for a moment. Under answers that never pause that
#: is tried each time it has grown by so much, and from the second bound on it is emptied all the
#: same: then a frame may wait for the card.
LOG_STEP_BYTES = 2**20
LOG_BYTES_MAX = 32 * 2**20


class Recorder:
    """Keeps answers on disk; while the disk fails, answers go on without it."""

    def __init__(
        self, journal: Journal | None, on_change: Callable[[], None] = lambda: None
    ) -> None:
        """Take the journal; None keeps nothing.

        Args:
            journal: Is opened by `load`.
            on_change: Called, synchronously, when `error` has changed.
        """
        self._access = JournalAccess(journal, on_change)
        self._emptying = asyncio.Lock()
        # Its file is not removed while it comes back.
        self._reviving = asyncio.Lock()
        self._unsynced = asyncio.Event()
        self._forgetting = asyncio.Event()
        self._to_forget: list[str] = []
        self._purge = self._purge_owed = False
        self._try_log_bytes = LOG_STEP_BYTES
        self._written_at = 0.0
        self._is_writing: Callable[[], bool] = lambda: False

    @property
    def keeps(self) -> bool:
        """Whether what is written now would be there after a restart."""
        return self._access.keeps

    @property
    def error(self) -> str | None:
        """Why answers are not kept just now, though they should be; else None."""
        return self._access.error

    async def load(self) -> tuple[list[SavedResponse], Moment]:
        """Read what an earlier life left behind; see `Journal.load`."""
        # Not on the loop: the first time, it reads a file.
        now = await asyncio.to_thread(read_moment)
        loaded = await self._access.load()
        if loaded is None:
            return [], now
        self._unsynced.set()
        return loaded

    def due(self, *, asked: bool) -> bool:
        """Whether a journal that failed is to be tried again now; ``asked`` by a new question."""
        return self._access.due(asked=asked)

    async def revive(
        self, everything: Callable[[list[SavedResponse], Moment], list[SavedResponse]]
    ) -> None:
        """Try a journal that failed again, and have it begin anew.

        Args:
            everything: Called, synchronously, when it can be opened: with what it holds of an
                earlier life, if that could not be read before, and when it was last written; gives
                all that it shall hold.
        """
        async with self._reviving:
            if not await self._access.revive(lambda loaded: everything(*loaded)):
                return
            self._unsynced.set()
            if self._purge_owed:
                self._purge_owed = False
                self.forget((), purge=True)

    async def write(self, openings: Sequence[ResponseOpening], changes: Sequence[Change]) -> None:
        """Keep what is new; when this returns it survives the death of this process."""
        if self.keeps:
            now = read_moment()
            await self._access.write(lambda journal: journal.write(openings, changes, now))
            self._written_at = asyncio.get_running_loop().time()
            self._unsynced.set()

    def distrust(self) -> None:
        """A write failed by a bug: the journal has to begin anew."""
        self._access.distrust()

    def forget(self, response_ids: Iterable[str], *, purge: bool) -> None:
        """Have responses removed from the disk soon; the caller does not wait for it.

        Args:
            response_ids: Which.
            purge: Soon means at once: their device is no longer welcome.
        """
        if self._access.there:
            self._to_forget += response_ids
            self._purge = self._purge or purge
            self._forgetting.set()

    async def run(
        self,
        *,
        writing: Callable[[], bool],
        unfinished: Callable[[], bool],
        on_due: Callable[[], None],
        resume_ttl_s: float,
    ) -> None:
        """Look after the disk until cancelled.

        Args:
            writing: Whether answers are being written now.
            unfinished: Whether there are answers that have not ended.
            on_due: Called, synchronously, when `due` should be asked again.
            resume_ttl_s: How long after this process an unfinished answer may go on, seconds.
        """
        self._is_writing = writing
        note_every_s = min(_NOTE_EVERY_S, _NOTE_PART * resume_ttl_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sync_on(), name="journal-sync")
            tasks.create_task(self._forget_on(), name="journal-forget")
            tasks.create_task(self._access.retry(on_due), name="journal-retry")
            tasks.create_task(self._note_on(unfinished, note_every_s), name="journal-note")

    async def sync(self) -> int:
        """Bring what was written onto the disk itself, now; gives the length of the log."""
        return await self._access.aside(lambda journal: journal.sync()) or 0

    async def close(self) -> None:
        """Bring everything onto the disk and end the threads."""
        try:
            await self._forget_now()
            if self._access.was_read:
                await self._note()
            await self.sync()
            await self._access.aside(lambda journal: journal.close())
        finally:
            await self._access.shut_down()

    async def _sync_on(self) -> None:
        while True:
            await self._unsynced.wait()
            await asyncio.sleep(SYNC_EVERY_S)
            self._unsynced.clear()
            log_bytes = await self.sync()
            if log_bytes and (not self._is_writing() or log_bytes >= self._try_log_bytes):
                emptied = await self._empty_log(force=log_bytes >= LOG_BYTES_MAX)
                self._try_log_bytes = LOG_STEP_BYTES + (0 if emptied else log_bytes)

    async def _empty_log(self, *, force: bool) -> bool:
        """Copy the log into the file, and empty it if nothing was written meanwhile."""
        async with self._emptying:
            await self._access.aside(lambda journal: journal.checkpoint())
            return bool(await self._access.write(lambda journal: journal.truncate(force=force)))

    async def _forget_on(self) -> None:
        while True:
            await self._forgetting.wait()
            await self._forget_now()

    async def _forget_now(self) -> None:
        self._forgetting.clear()
        response_ids, self._to_forget = self._to_forget, []
        purge, self._purge = self._purge, False
        if not self._access.there or not (response_ids or purge):
            return
        if self.keeps:
            await self._access.write(lambda journal: journal.forget(response_ids, purge=purge))
            if purge or not self._is_writing():
                await self._empty_log(force=purge)
            self._unsynced.set()
        if self.error is not None and self._access.was_read:
            async with self._reviving:
                await self._forget_all(response_ids, purge=purge)

    async def _forget_all(self, response_ids: list[str], *, purge: bool) -> None:
        """Remove a journal that fails: what must be forgotten weighs more than what may be kept."""
        if self.error is None:
            # It came back meanwhile; it is no longer in there, but there may be copies.
            self.forget(response_ids, purge=purge)
            return
        try:
            await self._access.delete()
        except OSError as exc:
            log.warning("answers cannot be removed from the disk: %s", exc)
            self._purge_owed = self._purge_owed or purge

    async def _note_on(self, unfinished: Callable[[], bool], every_s: float) -> None:
        while True:
            await asyncio.sleep(max(every_s, 1.0))
            now = asyncio.get_running_loop().time()
            if unfinished() and self.keeps and now - self._written_at >= every_s:
                await self._note()
                self._unsynced.set()

    async def _note(self) -> None:
        now = read_moment()
        await self._access.write(lambda journal: journal.note(now))
