"""Takes requests in, gives them to the engine in fair order, keeps what was answered. Kind: hands."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inglenook.chat.profiles import profile_for
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.engine.orders import Engine, EngineState, Phase
from inglenook.errors import Code, Problem
from inglenook.serving.job import Job, start_order
from inglenook.serving.queue import FairQueue
from inglenook.serving.response import Place, Reason, Response, Status
from inglenook.serving.settings import ServingSettings

log = logging.getLogger(__name__)

#: One device's share of the queue: a family of four can fill it, one phone cannot.
WAITING_PER_DEVICE_MAX = 16

#: All text kept for finished responses, oldest dropped first.
KEPT_BYTES_MAX = 16 * 1024 * 1024

#: How long an answer goes on that nobody reads, seconds: a phone in a lift comes back, a closed tab not.
UNREAD_GRACE_S = 60.0

_HOUSEKEEPING_S = 1.0

#: Until a first answer was measured: some 100 tokens at a small board's 8 a second.
_FIRST_GUESS_S = 12.0

#: A phone is told to come back later, rather than to wait, if the engine needs longer than this.
_WORTH_WAITING_S = 10.0


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
        *,
        max_active: int,
        on_change: Callable[[], None],
    ) -> None:
        """Take charge of ``engine``; whoever owns it calls `engine_changed` on every new state.

        Args:
            settings: Bounds.
            engine: Writes the answers.
            max_active: Answers that may be written at once.
            on_change: Hears that `load` may have changed, synchronously.
        """
        self._settings = settings
        self._engine = engine
        self._max_active = max_active
        self._on_change = on_change
        self._queue: FairQueue[Job] = FairQueue()
        self._active: dict[str, Job] = {}
        self._kept: dict[str, Response] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._numbers = itertools.count(1)
        self._answer_s = _FIRST_GUESS_S
        self._something_kept = asyncio.Event()
        self._closed = False

    @property
    def load(self) -> Load:
        """How much is going on now."""
        return Load(len(self._active), len(self._queue), self._max_active)

    def submit(
        self, device_id: str, body: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Response:
        """Take a request in, or say at once why not.

        The same key from the same device gets the response that the first one made.

        Raises:
            Problem: If the request is wrong, the queue is full or there is no model.
        """
        if idempotency_key is not None:
            known = self._kept.get(self._by_key.get((device_id, idempotency_key), ""))
            if known is not None:
                return known
        request = parse_chat_request(body)
        self._admit(device_id, request)
        number = next(self._numbers)
        model = self._engine.state.model
        response = Response(f"r_{secrets.token_urlsafe(12)}", device_id, model)
        response.unread_since = self._now()
        start = start_order(number, request, profile_for(model), secrets.randbits(32))
        job = Job(number, start, response, now=self._now, on_over=self._over)
        self._kept[response.response_id] = response
        self._something_kept.set()
        if idempotency_key is not None:
            self._by_key[device_id, idempotency_key] = response.response_id
        self._queue.put(device_id, job)
        self._pump()
        return response

    def find(self, device_id: str, response_id: str) -> Response | None:
        """The response of that id, if it is kept and belongs to that device."""
        response = self._kept.get(response_id)
        return response if response is not None and response.device_id == device_id else None

    def cancel(self, response: Response) -> None:
        """End a response soon; nothing happens if it has ended."""
        job = self._active.get(response.response_id)
        if job is not None:
            self._engine.cancel(job.number)
            return
        for job in self._queue.in_order():
            if job.response is response:
                self._queue.remove(response.device_id, job)
                job.cancelled_unbegun()
                return

    def forget_device(self, device_id: str) -> None:
        """Cancel and drop everything of a device that is no longer welcome."""
        for response in [r for r in self._kept.values() if r.device_id == device_id]:
            self.cancel(response)
            self._drop(response)

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state."""
        if state.phase is Phase.MISSING:
            self._fail_waiting(_problem_of(state))
        self._pump()

    def close(self) -> None:
        """End everything that has not ended; nothing is taken in from now on."""
        self._closed = True
        stopping = Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)
        self._fail_waiting(stopping)
        for job in list(self._active.values()):
            job.fail(stopping)

    async def run(self) -> None:
        """Drop old responses and cancel unread ones, until cancelled; sleeps while there are none."""
        while True:
            await self._something_kept.wait()
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._tidy(self._now())
            if not self._kept:
                self._something_kept.clear()

    def _admit(self, device_id: str, request: ChatRequest) -> None:
        state = self._engine.state
        if self._closed:
            raise Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)
        if state.phase is Phase.MISSING or (
            state.phase is Phase.RESTARTING and state.retry_in_s > _WORTH_WAITING_S
        ):
            raise _problem_of(state)
        wanted = (request.model or "").removesuffix(":latest").lower()
        if wanted and wanted != state.model.lower():
            text = f"This box runs '{state.model}'; leave 'model' out or name that."
            raise Problem(Code.MODEL_MISSING, text)
        if (
            len(self._queue) >= self._settings.queue
            or self._queue.waiting(device_id) >= WAITING_PER_DEVICE_MAX
        ):
            wait_s = round(self._eta_s(len(self._queue)), 1)
            text = "Too many questions are waiting already. Please try again later."
            raise Problem(Code.BUSY, text, retry_after_s=wait_s)

    def _pump(self) -> None:
        """Give the engine what it may have, and tell the rest where they stand."""
        ready = self._engine.state.phase is Phase.READY
        while ready and not self._closed and self._queue and len(self._active) < self._max_active:
            job = self._queue.take()
            job.begun_at = self._now()
            self._active[job.response.response_id] = job
            self._engine.start(job.start, job)
        reason = Reason.BUSY if ready else Reason.LOADING
        for position, job in enumerate(self._queue.in_order(), start=1):
            eta_s = round(self._eta_s(position), 1)
            job.response.wait_at(Place(position, eta_s, reason))
        self._on_change()

    def _eta_s(self, position: int) -> float:
        """When the one at ``position`` is likely to begin: answers end one after the other."""
        return position * self._answer_s / self._max_active

    def _over(self, job: Job) -> None:
        self._active.pop(job.response.response_id, None)
        if job.response.status in (Status.COMPLETED, Status.INCOMPLETE) and job.begun_at:
            self._answer_s += 0.2 * (self._now() - job.begun_at - self._answer_s)
        self._pump()

    def _fail_waiting(self, problem: Problem) -> None:
        while self._queue:
            self._queue.take().fail(problem)

    def _tidy(self, now: float) -> None:
        finished_bytes = 0
        # Newest first, so that it is the oldest that do not fit.
        for response in list(reversed(self._kept.values())):
            if response.ended_at is None:
                unread = response.unread_since
                if unread is not None and now - unread > UNREAD_GRACE_S:
                    log.info("answer %s cancelled: nobody reads it", response.response_id)
                    self.cancel(response)
                continue
            finished_bytes += response.held_bytes
            too_old = now - response.ended_at > self._settings.resume_ttl_s
            if too_old or finished_bytes > KEPT_BYTES_MAX:
                self._drop(response)

    def _drop(self, response: Response) -> None:
        del self._kept[response.response_id]
        for key in [k for k, rid in self._by_key.items() if rid == response.response_id]:
            del self._by_key[key]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _problem_of(state: EngineState) -> Problem:
    if state.phase is Phase.MISSING:
        text = "This box has no usable model right now; its log says why."
        return Problem(Code.MODEL_MISSING, text)
    text = "The model keeps failing on this box; its log says why."
    return Problem(Code.ENGINE_FAILED, text, retry_after_s=round(state.retry_in_s, 1))
