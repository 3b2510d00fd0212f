"""Gives the journal its thread, its rhythm, and its right to fail. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from inglenook.serving.journal import Journal, Opening, Saved
from inglenook.serving.response import Change

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: What may be lost with the power, seconds of shown text. Syncing more often wears out SD cards.
SYNC_EVERY_S = 5.0


class Recorder:
    """Keeps answers on disk as long as the disk plays along; answers go on without it."""

    def __init__(self, journal: Journal | None) -> None:
        """None keeps nothing."""
        self._journal = journal
        self._given_up: Journal | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._unsynced = asyncio.Event()

    @property
    def keeps(self) -> bool:
        """Whether what is written now would be there after a restart."""
        return self._journal is not None

    async def load(self) -> tuple[list[Saved], float]:
        """Read what an earlier life left behind; see `Journal.load`."""
        if self._journal is None:
            return [], 0.0
        loaded = await self._do(self._journal.load)
        if loaded is None:
            # Nothing of this life is in it, so nothing will have to be removed from it.
            self._given_up = None
            return [], 0.0
        return loaded

    async def write(self, openings: Sequence[Opening], changes: Sequence[Change]) -> None:
        """Keep what is new; when this returns it survives the death of this process."""
        if self._journal is not None:
            now = datetime.now(UTC).timestamp()
            await self._do(self._journal.write, openings, changes, now)
            self._unsynced.set()

    async def forget(self, response_ids: Iterable[str], *, purge: bool) -> None:
        """Remove responses from the disk; see `Journal.forget`.

        A journal that can no longer be written is removed whole.
        """
        if self._journal is not None:
            await self._do(partial(self._journal.forget, list(response_ids), purge=purge))
        if self._given_up is not None:
            given_up, self._given_up = self._given_up, None
            try:
                await self._in_thread(given_up.delete)
            except OSError as exc:
                log.warning("answers cannot be removed from the disk: %s", exc)

    async def run(self) -> None:
        """Bring what was written onto the disk itself, now and then, until cancelled."""
        while True:
            await self._unsynced.wait()
            await asyncio.sleep(SYNC_EVERY_S)
            self._unsynced.clear()
            await self.sync()

    async def sync(self) -> None:
        """Bring what was written onto the disk itself, now."""
        if self._journal is not None:
            # Not in the thread that writes: a card may take its time, and no stream waits.
            await self._do(self._journal.sync, aside=True)

    async def close(self) -> None:
        """Bring everything onto the disk and end the thread."""
        if self._journal is not None:
            await self._do(self._journal.sync)
        if self._journal is not None:
            await self._do(self._journal.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def _do(self, work: Callable[..., _T], *args: object, aside: bool = False) -> _T | None:
        try:
            if aside:
                return await asyncio.to_thread(work, *args)
            return await self._in_thread(work, *args)
        except (OSError, sqlite3.Error) as exc:
            if self._journal is not None:
                log.warning("answers are no longer kept on disk: %s", exc)
                # What it holds stays true as far as it goes; who has seen more is cut back.
                self._given_up, self._journal = self._journal, None
                with contextlib.suppress(OSError, sqlite3.Error):
                    await self._in_thread(self._given_up.close)
            return None

    async def _in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
