"""Takes requests in, and hands them to the engines in fair order. Kind: hands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import msgspec

from inglenook.chat.profiles import profile_for
from inglenook.chat.request import ChatRequest
from inglenook.chat.thinking import choice_of
from inglenook.common.errors import Problem
from inglenook.common.guarded import Guard
from inglenook.engine.interface import Capabilities, EngineState
from inglenook.serving.admission import check_queue, check_request, raise_if, shutting_down
from inglenook.serving.date_store import DateStore
from inglenook.serving.engine_handle import EngineHandle
from inglenook.serving.engine_registry import EngineRegistry
from inglenook.serving.engine_request import prepare_order, start_order
from inglenook.serving.job import Job
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.limits import ServingLimits
from inglenook.serving.prefill_ahead import PendingPrefill
from inglenook.serving.response import Response
from inglenook.serving.response_lifecycle import ResponseLifecycle
from inglenook.serving.response_parts import Outcome, Status
from inglenook.serving.scheduler import SchedulerLoad
from inglenook.serving.settings import ServingSettings


class Dispatcher:
    """Accepts requests for all engines; the owner of an engine adds it to ``engines``."""

    def __init__(
        self,
        settings: ServingSettings,
        recorder: Recorder,
        *,
        on_change: Callable[[], None],
        on_over: Callable[[Status, Outcome], None] = lambda _status, _outcome: None,
        dating: DateStore | None = None,
    ) -> None:
        """Take requests in once `engines` has one; its owner calls `engine_changed`.

        Args:
            settings: Bounds.
            recorder: Keeps answers on disk.
            on_change: Hears that `load` may have changed, synchronously.
            on_over: Hears how each answer ended, synchronously.
            dating: Knows when conversations began; by default, those of this life.
        """
        self.engines = EngineRegistry(self)
        self.closed = False
        self._settings = settings
        self._on_change = on_change
        self._on_over = on_over
        self._telling = Guard("news of the dispatcher")
        dating = dating or DateStore()
        self._responses = ResponseLifecycle(settings, self.engines, recorder, dating)

    @property
    def load(self) -> SchedulerLoad:
        """How much is going on now."""
        return self.engines.load

    @property
    def capabilities(self) -> Capabilities:
        """What at least one engine can do with a conversation."""
        each = [handle.engine.capabilities for handle in self.engines]
        return Capabilities(tools=any(can.tools for can in each))

    @property
    def preparing(self) -> int:
        """For how many devices prompts are read ahead, or are to be."""
        return self.engines.preparing

    @property
    def journal_error(self) -> str | None:
        """Why answers are not kept on disk just now, though they should be; else None."""
        return self._responses.journal_error

    @property
    def refusal(self) -> Problem | None:
        """What every newcomer is told; None while questions are taken."""
        return self.engines.refusal

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
            Problem: If the queue is full, or no engine has the model or can do what is asked.
        """
        if idempotency_key is not None:
            known = self._responses.store.find_by_key(device_id, idempotency_key)
            if known is not None:
                return known
        request, handle = self._route(request, thinking)
        waiting = self.engines.waiting(device_id)
        retry_after_s = handle.scheduler.retry_after_s
        check_queue(self.load.queued, waiting, self._settings.queue, retry_after_s)
        model = handle.state.model
        salt = self._settings.namespace(device_id)
        start = start_order(request, profile_for(model), secrets.randbits(32), salt)
        job = self._responses.open(device_id, idempotency_key, model, start)
        self._take_on(job, handle, weight)
        return job.response

    def _take_on(self, job: Job, handle: EngineHandle, weight: float) -> None:
        try:
            self._responses.add(job)
            self.engines.put(job, handle, weight)
        except BaseException:
            # Or whoever asks again with the same key would wait for what nobody writes.
            self.cancel(job.response)
            self._responses.drop(job.response)
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
            Problem: As of `submit`, or if others need the box.
        """
        request, handle = self._route(request, thinking)
        self.engines.make_room_ahead(handle, device_id)
        salt = self._settings.namespace(device_id)
        order = prepare_order(request, profile_for(handle.state.model), salt)
        moment_s = self._responses.dating.began(order.messages, typing=True)
        order = msgspec.structs.replace(order, moment_s=moment_s)
        preparation = handle.prefill.take(device_id, order, on_over)
        self.changed()
        return preparation

    def limit(self, limits: ServingLimits) -> None:
        """Take on no more than that from now on; see `EngineRegistry.limit`."""
        self.engines.limit(limits)

    def find(self, device_id: str, response_id: str) -> Response | None:
        """The response of that id, if it is kept and belongs to that device."""
        return self._responses.store.find(device_id, response_id)

    def cancel(self, response: Response) -> bool:
        """End a response soon; says whether it was still wanted until now."""
        return self.engines.cancel(response)

    def forget_device(self, device_id: str) -> None:
        """Cancel and drop everything of a device that is no longer welcome.

        The engines forget all they have kept, since what they keep are conversations, and they do
        not know whose.
        """
        for response in [r for r in self._responses.store if r.device_id == device_id]:
            self.cancel(response)
            self._responses.drop(response)
        self._responses.publisher.purge()
        self.engines.forget(device_id)
        self.purge()

    def purge(self) -> None:
        """Forget what is kept of conversations for later; answers under way go on."""
        self._responses.purge()

    def engine_changed(self, state: EngineState) -> None:
        """An engine has a new state; what was begun waits: a file that is gone may come back."""
        dating = self._responses.dating
        dating.needed = state.dated or dating.needed
        self.engines.pump()

    async def restore(self, is_welcome: Callable[[str], bool]) -> None:
        """See `ResponseLifecycle.restore`; before `run`."""
        await self._responses.restore(is_welcome)

    async def run(self) -> None:
        """Show news and tidy up until `stop`."""
        await self._responses.run()

    async def checkpoint(self) -> None:
        """Bring everything that phones were shown onto the disk: the power may go soon."""
        await self._responses.checkpoint()

    def stop(self) -> None:
        """End `run` soon. What is unfinished stays on disk for the next life, or ends here."""
        self.closed = True
        self._responses.stop()

    # What engines tell; see `HandleOwner`.

    def changed(self) -> None:
        """See `HandleOwner.changed`."""
        with self._telling:
            self._on_change()

    def over(self, job: Job) -> None:
        """See `HandleOwner.over`."""
        if job.ending is not None:
            with self._telling:
                self._on_over(*job.ending)
        if self._responses.store.get(job.response.response_id) is None:
            # Its device was forgotten, and the engine has kept it just now.
            self.purge()

    def _route(self, request: ChatRequest, thinking: str) -> tuple[ChatRequest, EngineHandle]:
        """Complete a request by the device and the settings, and find its engine."""
        if self.closed:
            raise shutting_down()
        choice = request.thinking.or_else(choice_of(thinking))
        choice = choice.or_else(choice_of(self._settings.thinking))
        handle = self.engines.find(request.model)
        check_request(request, handle.state, handle.engine.capabilities, self.engines.models)
        raise_if(handle.scheduler.limits.refuse)
        return replace(request, thinking=choice), handle
