"""Keeps what is new on disk, and only then lets readers see it. Kind: hands."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.serving.job import Job, broken_problem
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.response_parts import Change, Ending, Outcome, Status
from inglenook.serving.response_store import ResponseStore

#: Shortest time between two frames of one response: 10 a second read as a stream. More cost: each
#: round of frames takes a millisecond or two, on cores whose every other millisecond computes. And
#: a phone whose radio saves power hears Wi-Fi but once a beacon, by default each 102.4 ms.
_FRAME_S = 0.1

#: What comes so little too early is shown at once: the engine tells about as often, after whole
#: steps, and waking up once for both takes less from it than waking up twice.
_EARLY_S = _FRAME_S / 3


class Publisher:
    """What happened to responses, on its way to the disk and to their readers."""

    def __init__(
        self,
        recorder: Recorder,
        shelf: ResponseStore,
        now: Callable[[], float],
        everything: Callable[[list[SavedResponse], Moment], list[SavedResponse]],
        on_broken: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        """Write to ``recorder`` what is told here, and then show it on ``shelf``.

        Args:
            recorder: Keeps it.
            shelf: Where readers find it.
            now: Monotonic seconds.
            everything: Called when a journal that failed can be written again. It is given what
                stands in there of an earlier life, and when that was written; it gives all that
                readers have been shown, to be written anew.
            on_broken: Called, synchronously, with a job that cannot be shown any further, in a way
                nobody foresaw; its readers are told that it has failed.
        """
        self._everything = everything
        self._recorder = recorder
        self._on_broken = on_broken
        self._taking = Guard("taking what is new of an answer")
        self._keeping = TaskGuard("keeping answers on the disk")
        self._showing = Guard("showing an answer")
        self._shelf = shelf
        self._now = now
        self._openings: list[ResponseOpening] = []
        self._with_news: dict[Job, None] = {}
        self._dropped: list[str] = []
        self._purge = False
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._published_at = -math.inf

    def opening(self, opening: ResponseOpening) -> None:
        """There is a new response."""
        self._openings.append(opening)
        self._wake_in_turn()

    def news(self, job: Job) -> None:
        """A job has something to take."""
        self._with_news[job] = None
        if job.pressing:
            self._wake.set()
        else:
            self._wake_in_turn()

    def dropped(self, response_id: str) -> None:
        """A response is kept no longer."""
        self._dropped.append(response_id)
        self._wake_in_turn()

    def purge(self) -> None:
        """What was dropped must not be found on the disk any more."""
        self._purge = True
        self._wake_in_turn()

    async def run(self) -> None:
        """Publish until `stop`: what is pressing or follows a pause at once, else each 0.1 s."""
        try:
            while not self._closed:
                await self._wake.wait()
                self._wake.clear()
                self._cancel_timer()
                self._published_at = self._now()
                await self.publish()
            await self.publish(last=True)
        finally:
            self._cancel_timer()

    def wake(self) -> None:
        """Look now whether there is anything to do, for the journal too."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` soon, once what was told until then is published."""
        self._closed = True
        self._wake.set()

    def _wake_in_turn(self) -> None:
        """Publish when the next frame may come; if nothing came for a while, that is now."""
        if self._timer is not None or self._wake.is_set():
            return
        early_s = self._published_at + _FRAME_S - self._now()
        if early_s <= _EARLY_S:
            self._wake.set()
        else:
            self._timer = asyncio.get_running_loop().call_later(early_s, self._wake.set)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def publish(self, *, last: bool = False) -> None:
        """Publish what there is; ``last`` tries a journal that failed once more."""
        openings, self._openings = self._openings, []
        with_news, self._with_news = self._with_news, {}
        failing = self._recorder.error is not None
        # Before anything is taken from the jobs: they and the responses agree now.
        with self._keeping:
            if self._recorder.due(asked=bool(openings)) or (last and failing):
                await self._recorder.revive(self._everything)
        told = [(job, self._take(job)) for job in with_news]
        changes = [(job, change) for job, change in told if change is not None]
        if openings or changes:
            await self._keep(openings, [change for _job, change in changes])
        for opening in openings:
            opened = self._shelf.get(opening.response_id)
            if opened is not None:
                opened.open()
        for job, change in changes:
            self._show(job, change)
        self._forget()

    async def _keep(self, openings: list[ResponseOpening], changes: list[Change]) -> None:
        """Write it; what could not be kept is shown all the same, as where there is no journal."""
        with self._keeping:
            await self._recorder.write(openings, changes)
            return
        # Or later changes would be written behind a gap.
        with self._keeping:
            self._recorder.distrust()

    def _forget(self) -> None:
        dropped, self._dropped = self._dropped, []
        purge, self._purge = self._purge, False
        if not (dropped or purge):
            return
        with self._keeping:
            self._recorder.forget(dropped, purge=purge)
            return
        # Tried again with whatever is published next.
        self._dropped[:0], self._purge = dropped, self._purge or purge

    def _take(self, job: Job) -> Change | None:
        with self._taking:
            return job.take_change()
        return self._break_off(job)

    def _show(self, job: Job, change: Change) -> None:
        with self._showing:
            job.response.apply(change, self._now())
            return
        if not job.response.status.over:
            with self._showing:
                job.response.apply(self._break_off(job), self._now())

    def _break_off(self, job: Job) -> Change:
        """End a job that cannot be shown; returns what there is to show of that."""
        with self._taking:
            self._on_broken(job)
        self._with_news.pop(job, None)
        ending = Ending(job.response.next_seq, Status.FAILED, Outcome(problem=broken_problem()))
        return Change(job.response.response_id, False, (), (), ending)
