"""Gives the journal its threads, its rhythm, and its right to fail for a while. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from inglenook.common.guarded import Guard
from inglenook.common.threads import Threads
from inglenook.serving.journal.journal import Journal, ResponseOpening, SavedResponse
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.response_parts import Change

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: What may be lost with the power, seconds of shown text. Syncing more often wears out SD cards.
SYNC_EVERY_S = 5.0

#: How often a journal that failed is tried again, seconds; and at a new question, if the last try
#: is so long ago.
RETRY_EVERY_S = 60.0
_RETRY_ASKED_S = 1.0

#: How often the journal notes that there is a daemon, while an answer waits that says nothing: the
#: age of unfinished answers after a kill counts from there. At most, and as a share of the age at
#: which they are too old.
_NOTE_EVERY_S, _NOTE_PART = 60.0, 0.25

#: The log is emptied whenever nothing is written for a moment. Under answers that never pause that
#: is tried each time it has grown by so much, and from the second bound on it is emptied all the
#: same: then a frame may wait for the card.
LOG_STEP_BYTES = 2**20
LOG_BYTES_MAX = 32 * 2**20

_UNFORESEEN = "an error nobody foresaw; the log has its trace"


class Recorder:
    """Keeps answers on disk; while the disk does not play along, answers go on without it."""

    def __init__(
        self, journal: Journal | None, on_change: Callable[[], None] = lambda: None
    ) -> None:
        """Take the journal; None keeps nothing.

        Args:
            journal: Is opened by `load`.
            on_change: Called, synchronously, when `error` has changed.
        """
        self._journal = journal
        self._on_change = on_change
        self._failing: str | None = None
        self._read = False
        self._tried_at = 0.0
        self._asked = False
        # One writes and is never kept waiting by the card, the other may be.
        self._writing = Threads(1, thread_name_prefix="journal")
        self._aside = Threads(1, thread_name_prefix="journal-card")
        self._working = Guard("the journal", foreseen=(OSError, sqlite3.Error))
        self._emptying = asyncio.Lock()
        # Its file is not removed while it comes back.
        self._reviving = asyncio.Lock()
        self._unsynced = asyncio.Event()
        self._failed = asyncio.Event()
        self._forgetting = asyncio.Event()
        self._to_forget: list[str] = []
        self._purge = self._purge_owed = False
        self._try_log_bytes = LOG_STEP_BYTES
        self._written_at = 0.0
        self._is_writing: Callable[[], bool] = lambda: False

    @property
    def keeps(self) -> bool:
        """Whether what is written now would be there after a restart."""
        return self._journal is not None and self._failing is None

    @property
    def error(self) -> str | None:
        """Why answers are not kept just now, though they should be; else None."""
        return self._failing

    async def load(self) -> tuple[list[SavedResponse], Moment]:
        """Read what an earlier life left behind; see `Journal.load`."""
        # Not on the loop: the first time, it reads a file.
        now = await asyncio.to_thread(read_moment)
        if self._journal is not None:
            loaded = await self._do(self._journal.load, aside=True)
            if loaded is not None:
                self._read = True
                self._unsynced.set()
                return loaded
        return [], now

    def due(self, *, asked: bool) -> bool:
        """Whether a journal that failed is to be tried again now.

        Args:
            asked: There is a new question.
        """
        if self._failing is None:
            return False
        # A question that comes too soon after a try is not forgotten: the disk may have room now.
        self._asked = self._asked or asked
        wait_s = _RETRY_ASKED_S if self._asked else RETRY_EVERY_S
        return asyncio.get_running_loop().time() - self._tried_at >= wait_s

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
            found = await self._reopen()
            if found is not None:
                await self._rewrite(everything(*found))

    async def _reopen(self) -> tuple[list[SavedResponse], Moment] | None:
        assert self._journal is not None
        self._tried_at, self._asked = asyncio.get_running_loop().time(), False
        try:
            loaded = await self._run(self._aside, self._journal.load)
        except (OSError, sqlite3.Error) as exc:
            self._still_failing(exc)
            return None
        if self._read:
            return [], loaded[1]
        self._read = True
        return loaded

    async def _rewrite(self, saved: Sequence[SavedResponse]) -> None:
        assert self._journal is not None
        try:
            await self._run(self._writing, self._journal.rewrite, saved, read_moment())
        except (OSError, sqlite3.Error) as exc:
            self._still_failing(exc)
            return
        self._failing = None
        log.info("answers are kept on disk again")
        self._on_change()
        self._unsynced.set()
        if self._purge_owed:
            self._purge_owed = False
            self.forget((), purge=True)

    async def write(self, openings: Sequence[ResponseOpening], changes: Sequence[Change]) -> None:
        """Keep what is new; when this returns it survives the death of this process."""
        if self._journal is not None and self.keeps:
            await self._do(self._journal.write, openings, changes, read_moment())
            self._written_at = asyncio.get_running_loop().time()
            self._unsynced.set()

    def distrust(self) -> None:
        """Something was not written, in a way nobody foresaw: the journal has to begin anew."""
        if self.keeps:
            self._fail(OSError(_UNFORESEEN))

    def forget(self, response_ids: Iterable[str], *, purge: bool) -> None:
        """Have responses removed from the disk soon; nobody waits for it.

        Args:
            response_ids: Which.
            purge: Soon means at once: their device is no longer welcome.
        """
        if self._journal is not None:
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
            tasks.create_task(self._retry_on(on_due), name="journal-retry")
            tasks.create_task(self._note_on(unfinished, note_every_s), name="journal-note")

    async def sync(self) -> int:
        """Bring what was written onto the disk itself, now; gives the length of the log."""
        if self._journal is None or not self.keeps:
            return 0
        return await self._do(self._journal.sync, aside=True) or 0

    async def close(self) -> None:
        """Bring everything onto the disk and end the threads."""
        try:
            await self._forget_now()
            if self._journal is not None and self.keeps and self._read:
                await self._do(self._journal.note, read_moment())
            await self.sync()
            if self._journal is not None and self.keeps:
                await self._do(self._journal.close, aside=True)
        finally:
            # In this order: what failed is closed by the one, once the other has done.
            for thread in (self._aside, self._writing):
                await asyncio.to_thread(thread.shutdown)

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
            if self._journal is not None and self.keeps:
                await self._do(self._journal.checkpoint, aside=True)
            if self._journal is not None and self.keeps:
                return bool(await self._do(partial(self._journal.truncate, force=force)))
            return False

    async def _forget_on(self) -> None:
        while True:
            await self._forgetting.wait()
            await self._forget_now()

    async def _forget_now(self) -> None:
        self._forgetting.clear()
        response_ids, self._to_forget = self._to_forget, []
        purge, self._purge = self._purge, False
        if self._journal is None or not (response_ids or purge):
            return
        if self.keeps:
            await self._do(partial(self._journal.forget, response_ids, purge=purge))
            if purge or not self._is_writing():
                await self._empty_log(force=purge)
            self._unsynced.set()
        if self._failing is not None and self._read:
            async with self._reviving:
                await self._forget_all(response_ids, purge=purge)

    async def _forget_all(self, response_ids: list[str], *, purge: bool) -> None:
        """Remove a journal that fails: what must be forgotten weighs more than what may be kept."""
        assert self._journal is not None
        if self._failing is None:
            # It came back meanwhile; it is no longer in there, but there may be copies.
            self.forget(response_ids, purge=purge)
            return
        try:
            await self._run(self._aside, self._journal.delete)
        except OSError as exc:
            log.warning("answers cannot be removed from the disk: %s", exc)
            self._purge_owed = self._purge_owed or purge

    async def _retry_on(self, on_due: Callable[[], None]) -> None:
        while True:
            await self._failed.wait()
            await asyncio.sleep(RETRY_EVERY_S)
            if self._failing is None:
                self._failed.clear()
            else:
                on_due()

    async def _note_on(self, unfinished: Callable[[], bool], every_s: float) -> None:
        while True:
            await asyncio.sleep(max(every_s, 1.0))
            now = asyncio.get_running_loop().time()
            if unfinished() and self.keeps and now - self._written_at >= every_s:
                assert self._journal is not None
                await self._do(self._journal.note, read_moment())
                self._unsynced.set()

    async def _do(self, work: Callable[..., _T], *args: object, aside: bool = False) -> _T | None:
        try:
            return await self._run(self._aside if aside else self._writing, work, *args)
        except (OSError, sqlite3.Error) as exc:
            self._fail(exc)
            return None

    def _fail(self, exc: Exception) -> None:
        """Do without the journal for a while.

        What it holds stays true as far as it goes; who has seen more would be cut back.
        """
        if self._failing is None:
            every = f"it is tried again every {RETRY_EVERY_S:g} s"
            log.warning("answers are no longer kept on disk: %s; %s", exc, every)
            self._tried_at, self._asked = asyncio.get_running_loop().time(), False
            self._failing = _words(exc)
            self._failed.set()
            self._aside.submit(self._close_quietly)
            self._on_change()

    def _still_failing(self, exc: Exception) -> None:
        log.debug("answers are still not kept on disk: %s", exc)
        self._failing = _words(exc)
        self._aside.submit(self._close_quietly)

    def _close_quietly(self) -> None:
        """Close what failed, once nobody writes to it any more; in the thread that may wait."""
        assert self._journal is not None
        self._writing.submit(int).result()
        try:
            with self._working:
                self._journal.close()
        except (OSError, sqlite3.Error) as exc:
            log.debug("the journal was not closed in order: %s", exc)

    async def _run(self, thread: Threads, work: Callable[..., _T], *args: object) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, partial(self._foreseen, work, *args))

    def _foreseen(self, work: Callable[..., _T], *args: object) -> _T:
        """Do the work; what nobody foresaw is raised as a fault of the disk, once it is logged."""
        with self._working:
            return work(*args)
        raise OSError(_UNFORESEEN)


def _words(exc: Exception) -> str:
    """What went wrong, without the path: phones of the household hear of it, too."""
    return (isinstance(exc, OSError) and exc.strerror) or str(exc)
