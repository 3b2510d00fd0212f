"""Responses from their opening to their removal: shown, kept on disk, tidied up. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable

import msgspec

from inglenook.common.guarded import Guard
from inglenook.common.restarting import HEART_TRIES, keep_running
from inglenook.engine.orders import StartJob
from inglenook.serving.admission import shutting_down
from inglenook.serving.date_store import DateStore
from inglenook.serving.engine_registry import EngineRegistry
from inglenook.serving.job import Job
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.journal.restorer import Restorer
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.publisher import Publisher
from inglenook.serving.response import Response
from inglenook.serving.response_store import ResponseStore
from inglenook.serving.settings import ServingSettings

log = logging.getLogger(__name__)

_TIDY_S = 1.0


class ResponseLifecycle:
    """Store, publisher, journal and dates of the dispatcher's responses.

    Attributes:
        store: The responses.
        publisher: Shows them, once they are in the journal.
        dating: Knows when conversations began.
    """

    def __init__(
        self,
        settings: ServingSettings,
        engines: EngineRegistry,
        recorder: Recorder,
        dating: DateStore,
    ) -> None:
        """Keep responses of jobs of ``engines``.

        Args:
            settings: Bounds.
            engines: Write them.
            recorder: Keeps them on disk.
            dating: Knows when conversations began.
        """
        self.store = ResponseStore(settings.resume_ttl_s, settings.unread_grace_s)
        self.dating = dating
        self.publisher = Publisher(recorder, self.store, _now, self._everything, self._broken)
        self._settings = settings
        self._engines = engines
        self._recorder = recorder
        self._restorer = Restorer(self.store, engines, self.publisher, _now, settings.resume_ttl_s)
        self._is_welcome: Callable[[str], bool] = lambda _device_id: True
        self._occupied = asyncio.Event()

    @property
    def journal_error(self) -> str | None:
        """Why answers are not kept on disk just now, though they should be; else None."""
        return self._recorder.error

    def open(self, device_id: str, key: str | None, model: str, start: StartJob) -> Job:
        """Begin the response of a new request; the job that writes it has yet to be queued."""
        start = msgspec.structs.replace(start, moment_s=self.dating.began(start.messages))
        response = Response(f"r_{secrets.token_urlsafe(12)}", device_id, model, _now())
        self.publisher.opening(ResponseOpening(response.response_id, device_id, key, model, start))
        self.store.add(response, key)
        self._occupied.set()
        return Job(start, response, _now, self._engines.find(model), self.publisher)

    def add(self, job: Job) -> None:
        """Have the job of a new response outlast a journal that fails."""
        self._restorer.add(job)

    def drop(self, response: Response) -> None:
        """Keep a response no longer, here and on disk."""
        self.store.drop(response)
        self.publisher.dropped(response.response_id)

    def purge(self) -> None:
        """Forget what is kept of conversations for later; answers under way go on."""
        self.dating.forget()
        self._engines.purge()

    async def restore(self, is_welcome: Callable[[str], bool]) -> None:
        """Bring back what an earlier life of this daemon left.

        Args:
            is_welcome: Says of a device's id whether it is still paired. What belonged to others
                is removed: they may have been shut out while nobody was here to hear of it.
        """
        self._is_welcome = is_welcome
        with Guard("reading dates"):
            await self.dating.load()
        self._take_back(*await self._recorder.load())

    async def run(self) -> None:
        """Show news and tidy up until `stop`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tidying = keep_running("tidying up answers", self._tidy_up)
                tidy = tasks.create_task(tidying, name="desk-tidy")
                caring = keep_running("bringing answers onto the disk", self._look_after_disk)
                disk = tasks.create_task(caring, name="desk-disk")
                dating = keep_running("keeping dates", self.dating.run)
                dates = tasks.create_task(dating, name="desk-dates")
                await keep_running("publishing answers", self.publisher.run, tries=HEART_TRIES)
                if not self._recorder.keeps:
                    await self._end_all()
                tidy.cancel()
                disk.cancel()
                dates.cancel()
        finally:
            with Guard("keeping dates"):
                await self.dating.write()
            await self._close_recorder()

    async def checkpoint(self) -> None:
        """Bring everything that phones were shown onto the disk: the power may go soon."""
        await self._recorder.sync()

    def stop(self) -> None:
        """End `run` soon."""
        self.publisher.stop()

    def _broken(self, job: Job) -> None:
        job.owner.give_up(job)
        job.broken()

    async def _close_recorder(self) -> None:
        with Guard("closing the journal"):
            await self._recorder.close()
            return
        # Its thread has to end, and its file to be closed.
        await self._recorder.close()

    def _take_back(self, saved: Iterable[SavedResponse], last: Moment) -> None:
        """Go on with what a journal holds of an earlier life."""
        restored = self._restorer.bring_back(saved, last, read_moment(), self._is_welcome)
        for response_id in restored.dropped:
            self.publisher.dropped(response_id)
        if restored.unwelcome:
            self.publisher.purge()
            self.purge()
        for job in restored.jobs:
            self._engines.find(job.response.model).scheduler.requeue(job)
        if len(self.store):
            self._occupied.set()
        if restored.jobs:
            count = len(restored.jobs)
            log.info("%d unfinished answer%s", count, " goes on" if count == 1 else "s go on")

    def _everything(self, saved: list[SavedResponse], last: Moment) -> list[SavedResponse]:
        """All that readers have been shown, for a journal that begins anew; see `Publisher`."""
        if saved:
            self._take_back(saved, last)
            self._engines.pump()
        return self._restorer.everything(read_moment())

    async def _look_after_disk(self) -> None:
        def unfinished() -> bool:
            load = self._engines.load
            return load.active + load.queued > 0

        await self._recorder.run(
            writing=lambda: self._engines.load.active > 0,
            unfinished=unfinished,
            on_due=self.publisher.wake,
            resume_ttl_s=self._settings.resume_ttl_s,
        )

    async def _end_all(self) -> None:
        """End everything that is unfinished, and say so."""
        waiting = [job for handle in self._engines for job in handle.scheduler.take_all_waiting()]
        for job in [*waiting, *self._engines.active]:
            job.fail(shutting_down())
        await self.publisher.publish()

    async def _tidy_up(self) -> None:
        """Drop old responses and cancel unread ones; asleep while there are none."""
        while True:
            await self._occupied.wait()
            await asyncio.sleep(_TIDY_S)
            for response in self.store.outdated(_now()):
                self.drop(response)
            for response in self.store.abandoned(_now(), crowded=self._engines.crowded):
                if self._engines.cancel(response):
                    log.info("answer %s is cancelled: nobody reads it", response.response_id)
            self._engines.forget_idle()
            self._restorer.tidy()
            self._engines.put_right()
            if not len(self.store):
                self._occupied.clear()


def _now() -> float:
    """The event loop's time, seconds."""
    return asyncio.get_running_loop().time()
