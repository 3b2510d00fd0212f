"""Takes requests in, gives them to the engine in fair order, shows what comes back. Kind: hands."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from inglenook.chat.profiles import profile_for
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.engine.orders import Engine, EngineState, Phase
from inglenook.errors import Code, Problem
from inglenook.serving.admission import check_request, problem_of, raise_if
from inglenook.serving.ahead import Preparation, ReadAhead
from inglenook.serving.job import Job
from inglenook.serving.journal import Opening, Saved
from inglenook.serving.limits import ServingLimits
from inglenook.serving.order import prepare_order, start_order
from inglenook.serving.places import Load, Places
from inglenook.serving.publisher import Publisher
from inglenook.serving.recorder import Recorder
from inglenook.serving.response import Change, Outcome, Response, Status
from inglenook.serving.settings import ServingSettings
from inglenook.serving.shelf import Shelf

log = logging.getLogger(__name__)

#: One device's share of the queue: a family of four can fill it, one phone cannot.
WAITING_PER_DEVICE_MAX = 16

_TIDY_S = 1.0

#: When an answer goes on after a restart, so many frame numbers at most are left out, and half as
#: many at least. Text shown between the last sync and a power cut had numbers too; they must not
#: come back with other text, not even if the power is cut again before the next sync. So how many
#: is drawn at random. JavaScript counts exactly up to 2**53, which leaves a million restarts.
_SKIPPED_SEQS_MAX = 2**33


class Desk:
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
    ) -> None:
        """Take charge of ``engine``; whoever owns it calls `engine_changed` on every new state.

        Args:
            settings: Bounds.
            engine: Writes the answers.
            recorder: Keeps them on disk.
            max_active: Answers that may be written at once until `limit` says otherwise.
            on_change: Hears that `load` may have changed, synchronously.
            on_over: Hears how each answer ended, synchronously.
        """
        self._settings = settings
        self._engine = engine
        self._recorder = recorder
        self._on_change = on_change
        self._on_over = on_over
        self._places = Places(max_active)
        self._shelf = Shelf(settings.resume_ttl_s, settings.unread_grace_s)
        self._numbers = itertools.count(1)
        self._ahead = ReadAhead(engine, self._numbers)
        self._publisher = Publisher(recorder, self._shelf, self._now)
        self._occupied = asyncio.Event()
        self._closed = False
        self._pumping = False

    @property
    def load(self) -> Load:
        """How much is going on now."""
        return self._places.load

    @property
    def preparing(self) -> int:
        """For how many devices prompts are read ahead, or are to be."""
        return len(self._ahead.devices)

    @property
    def refusal(self) -> Problem | None:
        """What every newcomer is told; None while questions are taken."""
        return self._places.limits.refuse

    def submit(
        self,
        device_id: str,
        body: Mapping[str, Any],
        idempotency_key: str | None = None,
        *,
        weight: float = 1.0,
    ) -> Response:
        """Take a request in, or say at once why not.

        Args:
            device_id: Who asks.
            body: An OpenAI chat body.
            idempotency_key: The same key from the same device gets the response the first made.
            weight: The device's share of service, compared with others'.

        Raises:
            Problem: If the request is wrong, the queue is full or there is no model.
        """
        if idempotency_key is not None:
            known = self._shelf.find_by_key(device_id, idempotency_key)
            if known is not None:
                return known
        request = parse_chat_request(body)
        self._check(request)
        self._check_queue(device_id)
        model = self._engine.state.model
        response_id = f"r_{secrets.token_urlsafe(12)}"
        response = Response(response_id, device_id, model, self._now())
        start = start_order(request, profile_for(model), secrets.randbits(32))
        self._publisher.opening(Opening(response_id, device_id, idempotency_key, model, start))
        self._keep(response, idempotency_key)
        self._ahead.asked(device_id)
        self._places.put(Job(start, response, self._now, self), weight=weight)
        self._pump()
        return response

    def prepare(
        self, device_id: str, body: Mapping[str, Any], on_over: Callable[[], None]
    ) -> Preparation:
        """Read a request that is probably coming, or say at once why not.

        It costs nobody else anything, and leaves nothing behind but what the engine's cache holds.
        A device has one at a time: a newer one, or its question, ends the one before.

        Args:
            device_id: Who is about to ask.
            body: An OpenAI chat body; its last message may be half typed, or an answer.
            on_over: Hears, synchronously, when it is over.

        Raises:
            Problem: If the request is wrong, there is no model, or others need the box.
        """
        request = parse_chat_request(body, asked=False)
        self._check(request)
        raise_if(self._places.limits.read_ahead)
        self._allow_ahead()
        if not self._ahead.may_take(device_id):
            raise Problem(Code.BUSY, "The box has no time to read ahead just now.")
        order = prepare_order(request, profile_for(self._engine.state.model))
        preparation = self._ahead.take(device_id, order, on_over)
        self._on_change()
        return preparation

    def stop_preparing(self, preparation: Preparation) -> None:
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

    def cancel(self, response: Response) -> None:
        """End a response soon; nothing happens if it has ended."""
        active = self._places.active.get(response.response_id)
        if active is not None:
            active.unwanted = True
            self._engine.cancel(active.start.job)
            return
        waiting = self._places.take_waiting(response)
        if waiting is not None:
            waiting.cancelled()

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
        self._engine.purge()

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state."""
        if state.phase is Phase.MISSING:
            self._fail_waiting(problem_of(state))
        self._pump()

    async def restore(self, is_welcome: Callable[[str], bool]) -> None:
        """Bring back what an earlier life of this daemon left; before `run`.

        Args:
            is_welcome: Says of a device's id whether it is still paired. What belonged to others
                is removed: they may have been shut out while nobody was here to hear of it.
        """
        saved, written_at = await self._recorder.load()
        wall = datetime.now(UTC).timestamp()
        down_s = max(wall - written_at, 0.0)
        for item in saved:
            age_s = down_s if item.ended_at is None else max(wall - item.ended_at, 0.0)
            opening = item.opening
            if age_s > self._settings.resume_ttl_s:
                self._publisher.dropped(opening.response_id)
            elif not is_welcome(opening.device_id):
                self._publisher.dropped(opening.response_id)
                self._publisher.purge()
                self._engine.purge()
            else:
                self._bring_back(item, self._now() - age_s)
        unfinished = self.load.queued
        if unfinished:
            log.info("%d unfinished answers go on", unfinished)

    async def run(self) -> None:
        """Show news and tidy up until `stop`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tidy = tasks.create_task(self._tidy_up(), name="desk-tidy")
                sync = tasks.create_task(self._recorder.run(), name="desk-sync")
                await self._publisher.run()
                tidy.cancel()
                sync.cancel()
        finally:
            await self._recorder.close()

    async def checkpoint(self) -> None:
        """Bring everything that phones were shown onto the disk: the power may go soon."""
        await self._recorder.sync()

    def stop(self) -> None:
        """End `run` soon. What is unfinished stays on disk for the next life, or ends here."""
        self._closed = True
        if not self._recorder.keeps:
            problem = _shutting_down()
            self._fail_waiting(problem)
            for job in list(self._places.active.values()):
                job.fail(problem)
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
        self._on_change()

    def stood_aside(self, job: Job) -> None:
        """See `JobOwner.stood_aside`."""
        self._places.stood_aside(job)
        self._pump()

    def over(self, job: Job) -> None:
        """See `JobOwner.over`."""
        self._places.over(job, self._now())
        assert job.ending is not None
        self._on_over(*job.ending)
        if self._shelf.get(job.response.response_id) is None:
            # Its device was forgotten, and the engine has kept it just now.
            self._engine.purge()
        self.news(job)
        self._pump()

    def _check(self, request: ChatRequest) -> None:
        if self._closed:
            raise _shutting_down()
        check_request(request, self._engine.state)
        raise_if(self._places.limits.refuse)

    def _check_queue(self, device_id: str) -> None:
        places = self._places
        full = places.load.queued >= self._settings.queue
        if full or places.waiting(device_id) >= WAITING_PER_DEVICE_MAX:
            text = "Too many questions are waiting already. Please try again later."
            raise Problem(Code.BUSY, text, retry_after_s=places.retry_after_s)

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
        held = state.phase is Phase.UNLOADED and self._places.limits.max_active == 0
        self._places.tell_places(loading=state.phase is not Phase.READY and not held)
        self._on_change()

    def _may_begin(self) -> bool:
        return self._engine.state.phase is Phase.READY and not self._closed

    def _allow_ahead(self) -> None:
        hopeless = self._engine.state.phase in (Phase.MISSING, Phase.RESTARTING)
        self._ahead.allow(0 if hopeless or self._closed else self._places.room_ahead())

    def _begin(self, job: Job) -> None:
        response, model = job.response, self._engine.state.model
        response.model = response.model or model
        if response.model != model:
            text = f"The box now runs '{model}', which cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        self._places.active[response.response_id] = job
        self._engine.start(job.attempt(next(self._numbers)), job)

    def _bring_back(self, item: Saved, seen_at: float) -> None:
        opening = item.opening
        response = Response(opening.response_id, opening.device_id, opening.model, self._now())
        begun = bool(item.pieces) or (
            item.ending is not None and item.ending.status not in (Status.CANCELLED, Status.FAILED)
        )
        change = Change(opening.response_id, begun, item.pieces, item.tokens, item.ending)
        response.apply(change, seen_at)
        response.opened = True
        self._keep(response, opening.idempotency_key)
        if item.ending is None:
            skipped = _SKIPPED_SEQS_MAX // 2 + secrets.randbelow(_SKIPPED_SEQS_MAX // 2)
            response.skip_to(response.next_seq + skipped)
            start = msgspec.structs.replace(opening.start, produced=item.tokens)
            self._places.returns(Job(start, response, self._now, self, returning=True))

    def _keep(self, response: Response, idempotency_key: str | None) -> None:
        self._shelf.add(response, idempotency_key)
        self._occupied.set()

    def _drop(self, response: Response) -> None:
        self._shelf.drop(response)
        self._publisher.dropped(response.response_id)

    def _fail_waiting(self, problem: Problem) -> None:
        for job in self._places.take_all_waiting():
            job.fail(problem)

    async def _tidy_up(self) -> None:
        """Drop old responses and cancel unread ones; asleep while there are none."""
        while True:
            await self._occupied.wait()
            await asyncio.sleep(_TIDY_S)
            now = self._now()
            for response in self._shelf.outdated(now):
                self._drop(response)
            for response in self._shelf.abandoned(now, crowded=self._places.crowded):
                log.info("answer %s is cancelled: nobody reads it", response.response_id)
                self.cancel(response)
            self._places.forget_idle()
            if not len(self._shelf):
                self._occupied.clear()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _shutting_down() -> Problem:
    return Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)
