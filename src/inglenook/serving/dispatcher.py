"""Takes requests in, gives them to the engine in fair order, shows what comes back. Kind: hands."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

import msgspec

from inglenook.chat.profiles import profile_for
from inglenook.chat.request import ChatRequest
from inglenook.chat.thinking import choice_of
from inglenook.common.errors import Code, Problem
from inglenook.common.guarded import Guard
from inglenook.common.restarting import HEART_TRIES, keep_running
from inglenook.engine.interface import Capabilities, Engine, EnginePhase, EngineState
from inglenook.serving.admission import check_queue, check_request, raise_if, shutting_down
from inglenook.serving.date_store import DateStore
from inglenook.serving.engine_request import prepare_order, start_order
from inglenook.serving.job import Job
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.journal.restorer import Restorer
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.limits import ServingLimits
from inglenook.serving.prefill_ahead import PendingPrefill, SpeculativePrefill
from inglenook.serving.publisher import Publisher
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Outcome, Status
from inglenook.serving.response_store import ResponseStore
from inglenook.serving.scheduler import Scheduler, SchedulerLoad
from inglenook.serving.settings import ServingSettings

log = logging.getLogger(__name__)

_TIDY_S = 1.0


class Dispatcher:
    """The one place where requests wait."""

    def __init__(
        self,
        settings: ServingSettings,
        engine: Engine,
        recorder: Recorder,
        *,
        max_active: int,
        on_change: Callable[[], None],
        on_over: Callable[[Status, Outcome], None] = lambda _status, _outcome: None,
        dating: DateStore | None = None,
    ) -> None:
        """Take charge of ``engine``; whoever owns it calls `engine_changed` on every new state.

        Args:
            settings: Bounds.
            engine: Writes the answers.
            recorder: Keeps them on disk.
            max_active: Answers that may be written at once until `limit` says otherwise.
            on_change: Hears that `load` may have changed, synchronously.
            on_over: Hears how each answer ended, synchronously.
            dating: Knows when conversations began; by default, those of this life.
        """
        self._settings = settings
        self._engine = engine
        self._recorder = recorder
        self._on_change = on_change
        self._on_over = on_over
        self._telling = Guard("news of the desk")
        self._giving = Guard("giving an answer to the engine")
        self._places = Scheduler(max_active)
        self._shelf = ResponseStore(settings.resume_ttl_s, settings.unread_grace_s)
        self._numbers = itertools.count(1)
        self._ahead = SpeculativePrefill(engine, self._numbers)
        self._dating = dating or DateStore()
        self._publisher = Publisher(
            recorder, self._shelf, self._now, self._everything, self._broken
        )
        self._restorer = Restorer(self._shelf, self, self._now, settings.resume_ttl_s)
        self._is_welcome: Callable[[str], bool] = lambda _device_id: True
        self._occupied = asyncio.Event()
        self._closed = False
        self._pumping = False

    @property
    def load(self) -> SchedulerLoad:
        """How much is going on now."""
        return self._places.load

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        return self._engine.capabilities

    @property
    def preparing(self) -> int:
        """For how many devices prompts are read ahead, or are to be."""
        return len(self._ahead.devices)

    @property
    def journal_error(self) -> str | None:
        """Why answers are not kept on disk just now, though they should be; else None."""
        return self._recorder.error

    @property
    def refusal(self) -> Problem | None:
        """What every newcomer is told; None while questions are taken."""
        return self._places.limits.refuse

    def submit(
        self,
        device_id: str,
        request: ChatRequest,
        idempotency_key: str | None = None,
        *,
        weight: float = 1.0,
        thinking: str = "auto",
    ) -> Response:
        """Take a request in, or say at once why not.

        Args:
            device_id: Who asks.
            request: What it asks, as a door has parsed it.
            idempotency_key: The same key from the same device gets the response the first made.
            weight: The device's share of service, compared with others'.
            thinking: As of `choice_of`, what the device wants where the request leaves it open.

        Raises:
            Problem: If the queue is full, or there is no model or another one.
        """
        if idempotency_key is not None:
            known = self._shelf.find_by_key(device_id, idempotency_key)
            if known is not None:
                return known
        request = self._completed(request, thinking)
        self._check(request)
        check_queue(self._places, device_id, self._settings.queue)
        model = self._engine.state.model
        response_id = f"r_{secrets.token_urlsafe(12)}"
        response = Response(response_id, device_id, model, self._now())
        start = start_order(request, profile_for(model), secrets.randbits(32))
        start = msgspec.structs.replace(start, moment_s=self._dating.began(start.messages))
        self._publisher.opening(
            ResponseOpening(response_id, device_id, idempotency_key, model, start)
        )
        self._shelf.add(response, idempotency_key)
        self._occupied.set()
        self._take_on(Job(start, response, self._now, self), weight)
        return response

    def _take_on(self, job: Job, weight: float) -> None:
        try:
            self._ahead.asked(job.response.device_id)
            self._restorer.add(job)
            self._places.put(job, weight=weight)
            self._pump()
        except BaseException:
            # Or whoever asks again with the same key would wait for what nobody writes.
            self.cancel(job.response)
            self._drop(job.response)
            raise

    def prepare(
        self,
        device_id: str,
        request: ChatRequest,
        on_over: Callable[[], None],
        *,
        thinking: str = "auto",
    ) -> PendingPrefill:
        """Read a request that is probably coming, or say at once why not.

        It costs nobody else anything, and leaves nothing behind but what the engine's cache holds.
        A device has one at a time: a newer one, or its question, ends the one before.

        Args:
            device_id: Who is about to ask.
            request: As of `submit`; its last message may be half typed, or an answer.
            on_over: Hears, synchronously, when it is over.
            thinking: As of `submit`.

        Raises:
            Problem: If there is no model or another one, or others need the box.
        """
        request = self._completed(request, thinking)
        self._check(request)
        raise_if(self._places.limits.read_ahead)
        self._allow_ahead()
        if not self._ahead.may_take(device_id):
            raise Problem(Code.BUSY, "The box has no time to read ahead just now.")
        order = prepare_order(request, profile_for(self._engine.state.model))
        moment_s = self._dating.began(order.messages, typing=True)
        order = msgspec.structs.replace(order, moment_s=moment_s)
        preparation = self._ahead.take(device_id, order, on_over)
        self._changed()
        return preparation

    def stop_preparing(self, preparation: PendingPrefill) -> None:
        """Nobody is about to ask that any more; nothing happens if it is over."""
        self._ahead.stop(preparation)

    def limit(self, limits: ServingLimits) -> None:
        """Take on no more than that from now on.

        Answers that are too many stand aside, the newest first, and go on when there is room.
        """
        self._places.limits = limits
        self._pump()

    def find(self, device_id: str, response_id: str) -> Response | None:
        """The response of that id, if it is kept and belongs to that device."""
        return self._shelf.find(device_id, response_id)

    def cancel(self, response: Response) -> bool:
        """End a response soon; says whether it was still wanted until now."""
        active = self._places.active.get(response.response_id)
        if active is not None:
            wanted, active.unwanted = not active.unwanted, True
            if wanted:
                self._engine.cancel(active.start.job)
            return wanted
        waiting = self._places.take_waiting(response)
        if waiting is not None:
            waiting.cancelled()
        return waiting is not None

    def forget_device(self, device_id: str) -> None:
        """Cancel and drop everything of a device that is no longer welcome.

        The engine forgets all it has kept, since what it keeps are conversations, and it does not
        know whose.
        """
        for response in [r for r in self._shelf if r.device_id == device_id]:
            self.cancel(response)
            self._drop(response)
        self._publisher.purge()
        self._ahead.forget(device_id)
        self.purge()

    def purge(self) -> None:
        """Forget what is kept of conversations for later; answers under way go on."""
        self._dating.forget()
        self._engine.purge()

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state.

        What was begun waits, whatever that is: a model's file that is gone may come back.
        """
        self._dating.needed = state.dated or self._dating.needed
        self._pump()

    async def restore(self, is_welcome: Callable[[str], bool]) -> None:
        """Bring back what an earlier life of this daemon left; before `run`.

        Args:
            is_welcome: Says of a device's id whether it is still paired. What belonged to others
                is removed: they may have been shut out while nobody was here to hear of it.
        """
        self._is_welcome = is_welcome
        with Guard("reading dates"):
            await self._dating.load()
        self._take_back(*await self._recorder.load())

    async def run(self) -> None:
        """Show news and tidy up until `stop`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tidying = keep_running("tidying up answers", self._tidy_up)
                tidy = tasks.create_task(tidying, name="desk-tidy")
                caring = keep_running("bringing answers onto the disk", self._look_after_disk)
                disk = tasks.create_task(caring, name="desk-disk")
                dating = keep_running("keeping dates", self._dating.run)
                dates = tasks.create_task(dating, name="desk-dates")
                await keep_running("publishing answers", self._publisher.run, tries=HEART_TRIES)
                if not self._recorder.keeps:
                    await self._end_all(shutting_down())
                tidy.cancel()
                disk.cancel()
                dates.cancel()
        finally:
            with Guard("keeping dates"):
                await self._dating.write()
            await self._close_recorder()

    async def _close_recorder(self) -> None:
        with Guard("closing the journal"):
            await self._recorder.close()
            return
        # Its thread has to end, and its file to be closed.
        await self._recorder.close()

    async def checkpoint(self) -> None:
        """Bring everything that phones were shown onto the disk: the power may go soon."""
        await self._recorder.sync()

    def stop(self) -> None:
        """End `run` soon. What is unfinished stays on disk for the next life, or ends here."""
        self._closed = True
        self._publisher.stop()

    # What jobs tell; see `JobOwner`.

    def news(self, job: Job) -> None:
        """See `JobOwner.news`."""
        self._publisher.news(job)

    def progressed(self, job: Job) -> None:
        """See `JobOwner.progressed`."""
        self._pump()

    def lost(self, job: Job) -> None:
        """See `JobOwner.lost`."""
        self._places.returns(job)
        self._changed()

    def stood_aside(self, job: Job) -> None:
        """See `JobOwner.stood_aside`."""
        self._places.stood_aside(job)
        self._pump()

    def over(self, job: Job) -> None:
        """See `JobOwner.over`."""
        self._places.over(job, self._now())
        if job.ending is not None:
            with self._telling:
                self._on_over(*job.ending)
        if self._shelf.get(job.response.response_id) is None:
            # Its device was forgotten, and the engine has kept it just now.
            self.purge()
        self.news(job)
        self._pump()

    def _completed(self, request: ChatRequest, thinking: str) -> ChatRequest:
        """With what the device and the settings say where it says nothing."""
        choice = request.thinking.or_else(choice_of(thinking))
        return replace(request, thinking=choice.or_else(choice_of(self._settings.thinking)))

    def _check(self, request: ChatRequest) -> None:
        if self._closed:
            raise shutting_down()
        check_request(request, self._engine.state)
        raise_if(self._places.limits.refuse)

    def _pump(self) -> None:
        """Give the engine what it may have, and tell the rest where they stand."""
        if self._pumping:
            # A job that was just begun has ended at once; whoever began it looks for the next.
            return
        self._pumping = True
        try:
            while self._may_begin() and (job := self._places.next()) is not None:
                self._begin(job)
            for job in self._places.too_many():
                job.makes_way = True
                self._engine.cancel(job.start.job)
            self._allow_ahead()
        finally:
            self._pumping = False
        state = self._engine.state
        # Unloaded with a reason to be, it stays so until that is over; else it is loaded for them.
        held = state.phase is EnginePhase.UNLOADED and self._places.limits.max_active == 0
        self._places.tell_places(loading=state.phase is not EnginePhase.READY and not held)
        self._changed()

    def _changed(self) -> None:
        with self._telling:
            self._on_change()

    def _may_begin(self) -> bool:
        return self._engine.state.phase is EnginePhase.READY and not self._closed

    def _allow_ahead(self) -> None:
        hopeless = self._engine.state.phase in (EnginePhase.MISSING, EnginePhase.RESTARTING)
        self._ahead.allow(0 if hopeless or self._closed else self._places.room_ahead())

    def _begin(self, job: Job) -> None:
        response, model = job.response, self._engine.state.model
        response.model = response.model or model
        model_id = self._engine.state.model_id
        if response.model != model:
            text = f"The box now runs '{model}', which cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        if not job.can_go_on_with(model_id):
            text = f"The file of '{model}' was replaced; the new one cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        self._places.active[response.response_id] = job
        with self._giving:
            self._engine.start(job.attempt(next(self._numbers), model_id), job)
            return
        job.broken()

    def _broken(self, job: Job) -> None:
        """Something of a job cannot be shown, in a way nobody foresaw: it ends."""
        with self._giving:
            self._engine.cancel(job.start.job)
        job.broken()

    def _take_back(self, saved: list[SavedResponse], last: Moment) -> None:
        """Go on with what a journal holds of an earlier life."""
        restored = self._restorer.bring_back(saved, last, read_moment(), self._is_welcome)
        for response_id in restored.dropped:
            self._publisher.dropped(response_id)
        if restored.unwelcome:
            self._publisher.purge()
            self.purge()
        for job in restored.jobs:
            self._places.returns(job)
        if len(self._shelf):
            self._occupied.set()
        if restored.jobs:
            count = len(restored.jobs)
            log.info("%d unfinished answer%s", count, " goes on" if count == 1 else "s go on")

    def _everything(self, saved: list[SavedResponse], last: Moment) -> list[SavedResponse]:
        """All that readers have been shown, for a journal that begins anew; see `Publisher`."""
        if saved:
            self._take_back(saved, last)
            self._pump()
        return self._restorer.everything(read_moment())

    async def _look_after_disk(self) -> None:
        await self._recorder.run(
            writing=lambda: bool(self._places.active),
            unfinished=lambda: self.load.active + self.load.queued > 0,
            on_due=self._publisher.wake,
            resume_ttl_s=self._settings.resume_ttl_s,
        )

    def _drop(self, response: Response) -> None:
        self._shelf.drop(response)
        self._publisher.dropped(response.response_id)

    async def _end_all(self, problem: Problem) -> None:
        """End everything that is unfinished, and say so."""
        for job in [*self._places.take_all_waiting(), *self._places.active.values()]:
            job.fail(problem)
        await self._publisher.publish()

    async def _tidy_up(self) -> None:
        """Drop old responses and cancel unread ones; asleep while there are none."""
        while True:
            await self._occupied.wait()
            await asyncio.sleep(_TIDY_S)
            now = self._now()
            for response in self._shelf.outdated(now):
                self._drop(response)
            for response in self._shelf.abandoned(now, crowded=self._places.crowded):
                if self.cancel(response):
                    log.info("answer %s is cancelled: nobody reads it", response.response_id)
            self._places.forget_idle()
            self._restorer.tidy()
            self._put_right()
            if not len(self._shelf):
                self._occupied.clear()

    def _put_right(self) -> None:
        """See to what would stand still if news of it got lost in an error nobody foresaw."""
        for job in [job for job in self._places.active.values() if job.over]:
            self.over(job)
        if self._places.load.queued and self._may_begin():
            self._pump()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
