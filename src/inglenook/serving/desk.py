"""Takes requests in, gives them to the engine in fair order, shows what comes back. Kind: hands."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from inglenook.chat.profiles import profile_for
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.engine.orders import Engine, EngineState, Phase
from inglenook.errors import Code, Problem
from inglenook.serving.job import Job, start_order
from inglenook.serving.journal import Opening, Saved
from inglenook.serving.queue import FairQueue
from inglenook.serving.recorder import Recorder
from inglenook.serving.response import Change, Place, Reason, Response, Status
from inglenook.serving.settings import ServingSettings
from inglenook.serving.shelf import Shelf

log = logging.getLogger(__name__)

#: One device's share of the queue: a family of four can fill it, one phone cannot.
WAITING_PER_DEVICE_MAX = 16

#: Shortest time between two frames of one response: 30 a second read as a stream, more only cost.
_FRAME_S = 1 / 30

_TIDY_S = 1.0

#: Until a first answer was measured: some 100 tokens, at a small board's 8 a second.
_FIRST_GUESS_S = 12.0
_FIRST_GUESS_TOKENS = 100.0

#: A phone is told to come back later, rather than to wait, if the engine needs longer than this.
_WORTH_WAITING_S = 10.0

#: When an answer goes on after a restart, so many frame numbers at most are left out, and half as
#: many at least. Text shown between the last sync and a power cut had numbers too; they must not
#: come back with other text, not even if the power is cut again before the next sync. So how many
#: is drawn at random. JavaScript counts exactly up to 2**53, which leaves a million restarts.
_SKIPPED_SEQS_MAX = 2**33


@dataclass(frozen=True, slots=True)
class Load:
    """How much is going on.

    Attributes:
        max_active: Answers that may be written at once.
    """

    active: int
    queued: int
    max_active: int


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
    ) -> None:
        """Take charge of ``engine``; whoever owns it calls `engine_changed` on every new state.

        Args:
            settings: Bounds.
            engine: Writes the answers.
            recorder: Keeps them on disk.
            max_active: Answers that may be written at once.
            on_change: Hears that `load` may have changed, synchronously.
        """
        self._settings = settings
        self._engine = engine
        self._recorder = recorder
        self._max_active = max_active
        self._on_change = on_change
        self._queue: FairQueue[Job] = FairQueue()
        self._returning: deque[Job] = deque()
        self._active: dict[str, Job] = {}
        self._shelf = Shelf(settings.resume_ttl_s, settings.unread_grace_s)
        self._numbers = itertools.count(1)
        self._answer_s = _FIRST_GUESS_S
        self._answer_tokens = _FIRST_GUESS_TOKENS
        self._openings: list[Opening] = []
        self._with_news: dict[Job, None] = {}
        self._dropped: list[str] = []
        self._purge = False
        self._news = asyncio.Event()
        self._occupied = asyncio.Event()
        self._closed = False
        self._pumping = False

    @property
    def load(self) -> Load:
        """How much is going on now."""
        queued = len(self._queue) + len(self._returning)
        return Load(len(self._active), queued, self._max_active)

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
        self._admit(device_id, request)
        model = self._engine.state.model
        response_id = f"r_{secrets.token_urlsafe(12)}"
        response = Response(response_id, device_id, model, self._now())
        start = start_order(request, profile_for(model), secrets.randbits(32))
        self._openings.append(Opening(response_id, device_id, idempotency_key, model, start))
        self._keep(response, idempotency_key)
        self._queue.put(device_id, Job(start, response, self._now, self), weight=weight)
        self._news.set()
        self._pump()
        return response

    def find(self, device_id: str, response_id: str) -> Response | None:
        """The response of that id, if it is kept and belongs to that device."""
        return self._shelf.find(device_id, response_id)

    def cancel(self, response: Response) -> None:
        """End a response soon; nothing happens if it has ended."""
        active = self._active.get(response.response_id)
        if active is not None:
            active.unwanted = True
            self._engine.cancel(active.start.job)
            return
        for job in (*self._returning, *self._queue.in_order(self._answer_tokens)):
            if job.response is response:
                if job in self._returning:
                    self._returning.remove(job)
                self._queue.remove(response.device_id, job)
                job.cancelled()
                return

    def forget_device(self, device_id: str) -> None:
        """Cancel and drop everything of a device that is no longer welcome."""
        for response in [r for r in self._shelf if r.device_id == device_id]:
            self.cancel(response)
            self._drop(response)
        self._purge = True
        self._news.set()

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state."""
        if state.phase is Phase.MISSING:
            problem = _problem_of(state)
            self._fail_waiting(problem)
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
                self._dropped.append(opening.response_id)
            elif not is_welcome(opening.device_id):
                self._dropped.append(opening.response_id)
                self._purge = True
            else:
                self._bring_back(item, self._now() - age_s)
        if saved:
            self._news.set()
        unfinished = self.load.queued
        if unfinished:
            log.info("%d unfinished answers go on", unfinished)

    async def run(self) -> None:
        """Show news and tidy up until `stop`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tidy = tasks.create_task(self._tidy_up(), name="desk-tidy")
                sync = tasks.create_task(self._recorder.run(), name="desk-sync")
                await self._show_news()
                tidy.cancel()
                sync.cancel()
        finally:
            await self._recorder.close()

    def stop(self) -> None:
        """End `run` soon. What is unfinished stays on disk for the next life, or ends here."""
        self._closed = True
        if not self._recorder.keeps:
            text = "The box is shutting down."
            problem = Problem(Code.SHUTTING_DOWN, text, retry_after_s=10.0)
            self._fail_waiting(problem)
            for job in list(self._active.values()):
                job.fail(problem)
        self._news.set()

    # What jobs tell; see `JobOwner`.

    def news(self, job: Job) -> None:
        """See `JobOwner.news`."""
        self._with_news[job] = None
        self._news.set()

    def progressed(self, job: Job) -> None:
        """See `JobOwner.progressed`."""
        self._pump()

    def lost(self, job: Job) -> None:
        """See `JobOwner.lost`."""
        del self._active[job.response.response_id]
        self._returning.append(job)
        self._on_change()

    def stood_aside(self, job: Job) -> None:
        """See `JobOwner.stood_aside`."""
        del self._active[job.response.response_id]
        self._queue.put_back(job.response.device_id, job)
        self._pump()

    def over(self, job: Job) -> None:
        """See `JobOwner.over`."""
        self._active.pop(job.response.response_id, None)
        if job.begun_at is not None:
            self._queue.charge(job.response.device_id, job.tokens - job.advance_tokens)
            if job.gained:
                self._answer_s += 0.2 * (self._now() - job.begun_at - self._answer_s)
                self._answer_tokens += 0.2 * (job.tokens - self._answer_tokens)
        self.news(job)
        self._pump()

    def _admit(self, device_id: str, request: ChatRequest) -> None:
        state = self._engine.state
        if self._closed:
            text = "The box is shutting down."
            raise Problem(Code.SHUTTING_DOWN, text, retry_after_s=10.0)
        if state.phase is Phase.MISSING or (
            state.phase is Phase.RESTARTING and state.retry_in_s > _WORTH_WAITING_S
        ):
            raise _problem_of(state)
        wanted = (request.model or "").removesuffix(":latest").lower()
        if wanted and state.model and wanted != state.model.lower():
            text = f"This box runs '{state.model}'; leave 'model' out or name that."
            raise Problem(Code.MODEL_MISSING, text)
        if (
            self.load.queued >= self._settings.queue
            or self._queue.waiting(device_id) >= WAITING_PER_DEVICE_MAX
        ):
            wait_s = round(self._eta_s(self.load.queued), 1)
            text = "Too many questions are waiting already. Please try again later."
            raise Problem(Code.BUSY, text, retry_after_s=wait_s)

    def _pump(self) -> None:
        """Give the engine what it may have, and tell the rest where they stand."""
        if self._pumping:
            # A job that was just begun has ended at once; whoever began it looks for the next.
            return
        self._pumping = True
        try:
            while self._may_begin() and (job := self._next()) is not None:
                self._begin(job)
            self._make_way()
        finally:
            self._pumping = False
        ready = self._engine.state.phase is Phase.READY
        reason = Reason.BUSY if ready else Reason.LOADING
        for position, job in enumerate(self._queue.in_order(self._answer_tokens), start=1):
            eta_s = round(self._eta_s(position), 1)
            job.response.wait_at(Place(position, eta_s, reason))
        self._on_change()

    def _make_way(self) -> None:
        """Let a device that has nothing have the place of another's newest answer.

        One device may have all places while nobody else wants them. The answer that stands aside
        goes on later, after its own tokens, like one whose engine died.
        """
        counts = Counter(job.response.device_id for job in self._active.values())
        newcomer = self._queue.next_device()
        if newcomer is None or counts[newcomer] or len(self._active) < self._max_active:
            return
        if self._returning or any(job.makes_way for job in self._active.values()):
            return
        [(most, count)] = counts.most_common(1)
        if count > 1:
            newest = [job for job in self._active.values() if job.response.device_id == most][-1]
            newest.makes_way = True
            self._engine.cancel(newest.start.job)

    def _may_begin(self) -> bool:
        ready = self._engine.state.phase is Phase.READY
        return ready and not self._closed and len(self._active) < self._max_active

    def _next(self) -> Job | None:
        """Who goes next: those that an engine died under, one by one; then the fair queue.

        The next of the returning goes only when the one before has got a token. So if the engine
        dies again at once, it is clear which of them it died of, and the others do not suffer. One
        that got no token from its last engine goes before those that did: were it always behind
        them, engines that are killed often would never let it get one.
        """
        if any(job.proving for job in self._active.values()):
            return None
        if self._returning:
            first = min(self._returning, key=lambda job: job.gained > 0)
            self._returning.remove(first)
            return first
        job = self._queue.take(self._answer_tokens)
        if job is not None:
            job.advance_tokens += self._answer_tokens
        return job

    def _begin(self, job: Job) -> None:
        response, model = job.response, self._engine.state.model
        response.model = response.model or model
        if response.model != model:
            text = f"The box now runs '{model}', which cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        self._active[response.response_id] = job
        self._engine.start(job.attempt(next(self._numbers)), job)

    def _eta_s(self, position: int) -> float:
        """When the one at ``position`` is likely to begin: answers end one after the other."""
        return position * self._answer_s / self._max_active

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
            self._returning.append(Job(start, response, self._now, self, returning=True))

    def _keep(self, response: Response, idempotency_key: str | None) -> None:
        self._shelf.add(response, idempotency_key)
        self._occupied.set()

    def _drop(self, response: Response) -> None:
        self._shelf.drop(response)
        self._dropped.append(response.response_id)
        self._news.set()

    def _fail_waiting(self, problem: Problem) -> None:
        returning, self._returning = self._returning, deque()
        for job in (*returning, *self._queue.clear()):
            job.fail(problem)

    async def _show_news(self) -> None:
        """Publish what has gathered: a first token at once, then at most one frame each 33 ms."""
        while not self._closed:
            await self._news.wait()
            self._news.clear()
            await self._publish()
            await asyncio.sleep(_FRAME_S)
        await self._publish()

    async def _publish(self) -> None:
        """Keep what is new on disk, and only then let readers see it."""
        openings, self._openings = self._openings, []
        with_news, self._with_news = self._with_news, {}
        told = [(job.response, job.take_change()) for job in with_news]
        changes = [(response, change) for response, change in told if change is not None]
        if openings or changes:
            await self._recorder.write(openings, [change for _response, change in changes])
        for opening in openings:
            opened = self._shelf.get(opening.response_id)
            if opened is not None:
                opened.open()
        for response, change in changes:
            response.apply(change, self._now())
        dropped, self._dropped = self._dropped, []
        purge, self._purge = self._purge, False
        if dropped or purge:
            await self._recorder.forget(dropped, purge=purge)

    async def _tidy_up(self) -> None:
        """Drop old responses and cancel unread ones; asleep while there are none."""
        while True:
            await self._occupied.wait()
            await asyncio.sleep(_TIDY_S)
            now = self._now()
            for response in self._shelf.outdated(now):
                self._drop(response)
            for response in self._shelf.abandoned(now, crowded=len(self._queue) > 0):
                log.info("answer %s is cancelled: nobody reads it", response.response_id)
                self.cancel(response)
            jobs = (*self._active.values(), *self._returning)
            self._queue.forget_idle({job.response.device_id for job in jobs})
            if not len(self._shelf):
                self._occupied.clear()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _problem_of(state: EngineState) -> Problem:
    if state.phase is Phase.MISSING:
        text = "This box has no usable model right now; its log says why."
        return Problem(Code.MODEL_MISSING, text)
    text = "The model keeps failing on this box; its log says why."
    return Problem(Code.ENGINE_FAILED, text, retry_after_s=round(state.retry_in_s, 1))
