"""The journal through its two threads, and without it while the disk fails. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from inglenook.common.guarded import Guard
from inglenook.common.threads import Threads
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.journal.saved import SavedResponse

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: How often a journal that failed is tried again, seconds; and at a new question, if the last try
#: is so long ago.
RETRY_EVERY_S = 60.0
_RETRY_ASKED_S = 1.0

_UNFORESEEN = "an error nobody foresaw; the log has its trace"

#: What a journal holds of an earlier life, and when it was last written.
Loaded = tuple[list[SavedResponse], Moment]


class JournalAccess:
    """Calls the journal in its threads; once the disk fails, not before `revive` succeeds.

    Attributes:
        error: Why answers are not kept just now, though they should be; else None.
        was_read: What an earlier life left has been read.
    """

    def __init__(self, journal: Journal | None, on_change: Callable[[], None]) -> None:
        """Nothing is opened before `load`.

        Args:
            journal: None keeps nothing.
            on_change: Called, synchronously, when `error` has changed.
        """
        self.error: str | None = None
        self.was_read = False
        self._journal = journal
        self._on_change = on_change
        self._tried_at = 0.0
        self._asked = False
        # One writes and never waits for the card, the other may.
        self._writing = Threads(1, thread_name_prefix="journal")
        self._aside = Threads(1, thread_name_prefix="journal-card")
        self._working = Guard("the journal", foreseen=(OSError, sqlite3.Error))
        self._failed = asyncio.Event()

    @property
    def there(self) -> bool:
        """Whether there is a journal at all."""
        return self._journal is not None

    @property
    def keeps(self) -> bool:
        """Whether what is written now would be there after a restart."""
        return self.there and self.error is None

    async def load(self) -> Loaded | None:
        """Open the journal and read it; None if it cannot be, or there is none."""
        loaded = await self.aside(lambda journal: journal.load())
        self.was_read = loaded is not None
        return loaded

    async def write(self, work: Callable[[Journal], _T]) -> _T | None:
        """Do this in the thread that writes; None if it fails, or nothing is kept."""
        return await self._do(self._writing, work)

    async def aside(self, work: Callable[[Journal], _T]) -> _T | None:
        """Do this in the thread that may wait for the card; None as for `write`."""
        return await self._do(self._aside, work)

    def distrust(self) -> None:
        """A write failed by a bug: the journal has to begin anew."""
        if self.keeps:
            self._fail(OSError(_UNFORESEEN))

    def due(self, *, asked: bool) -> bool:
        """Whether a journal that failed is to be tried again now; ``asked`` by a new question."""
        if self.error is None:
            return False
        # A question that comes too soon after a try is not forgotten: the disk may have room now.
        self._asked = self._asked or asked
        wait_s = _RETRY_ASKED_S if self._asked else RETRY_EVERY_S
        return asyncio.get_running_loop().time() - self._tried_at >= wait_s

    async def retry(self, on_due: Callable[[], None]) -> None:
        """Call ``on_due`` now and then while the journal fails, until cancelled."""
        while True:
            await self._failed.wait()
            await asyncio.sleep(RETRY_EVERY_S)
            if self.error is None:
                self._failed.clear()
            else:
                on_due()

    async def revive(self, everything: Callable[[Loaded], list[SavedResponse]]) -> bool:
        """Open a journal that failed, and have it begin anew; gives whether it keeps answers again.

        Args:
            everything: As for `Recorder.revive`.
        """
        self._tried_at, self._asked = asyncio.get_running_loop().time(), False
        try:
            loaded = await self._run(self._aside, lambda journal: journal.load())
        except (OSError, sqlite3.Error) as exc:
            return self._still_failing(exc)
        if self.was_read:
            loaded = [], loaded[1]
        self.was_read = True
        saved, now = everything(loaded), read_moment()
        try:
            await self._run(self._writing, lambda journal: journal.rewrite(saved, now))
        except (OSError, sqlite3.Error) as exc:
            return self._still_failing(exc)
        self.error = None
        log.info("answers are kept on disk again")
        self._on_change()
        return True

    async def delete(self) -> None:
        """Remove a journal that fails.

        Raises:
            OSError: If it cannot be.
        """
        await self._run(self._aside, lambda journal: journal.delete())

    async def shut_down(self) -> None:
        """End the threads."""
        # In this order: what failed is closed by the one, once the other has done.
        for thread in (self._aside, self._writing):
            await asyncio.to_thread(thread.shutdown)

    async def _do(self, thread: Threads, work: Callable[[Journal], _T]) -> _T | None:
        if not self.keeps:
            return None
        try:
            return await self._run(thread, work)
        except (OSError, sqlite3.Error) as exc:
            self._fail(exc)
            return None

    def _fail(self, exc: Exception) -> None:
        """Do without the journal for a while.

        What it holds stays true as far as it goes; a reader that has seen more would be cut back.
        """
        if self.error is None:
            every = f"it is tried again every {RETRY_EVERY_S:g} s"
            log.warning("answers are no longer kept on disk: %s; %s", exc, every)
            self._tried_at, self._asked = asyncio.get_running_loop().time(), False
            self.error = _words(exc)
            self._failed.set()
            self._aside.submit(self._close_quietly)
            self._on_change()

    def _still_failing(self, exc: Exception) -> bool:
        log.debug("answers are still not kept on disk: %s", exc)
        self.error = _words(exc)
        self._aside.submit(self._close_quietly)
        return False

    def _close_quietly(self) -> None:
        """Close what failed, once nothing is written to it; in the thread that may wait."""
        assert self._journal is not None
        self._writing.submit(int).result()
        try:
            with self._working:
                self._journal.close()
        except (OSError, sqlite3.Error) as exc:
            log.debug("the journal was not closed in order: %s", exc)

    async def _run(self, thread: Threads, work: Callable[[Journal], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, partial(self._foreseen, work))

    def _foreseen(self, work: Callable[[Journal], _T]) -> _T:
        """Do the work; an unforeseen error is logged and raised as a fault of the disk."""
        assert self._journal is not None
        with self._working:
            return work(self._journal)
        raise OSError(_UNFORESEEN)


def _words(exc: Exception) -> str:
    """The error without the path: phones of the household are sent it, too."""
    return (isinstance(exc, OSError) and exc.strerror) or str(exc)
