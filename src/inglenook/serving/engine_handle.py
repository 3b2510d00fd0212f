"""One engine with its scheduler, what it prefills ahead, and its jobs. Kind: hands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from inglenook.common.errors import Code, Problem
from inglenook.common.guarded import Guard
from inglenook.engine.interface import Engine, EnginePhase, EngineState, ModelMemory
from inglenook.serving.job import Job
from inglenook.serving.prefill_ahead import SpeculativePrefill
from inglenook.serving.scheduler import Scheduler

if TYPE_CHECKING:
    from inglenook.serving.engine_registry import EngineRegistry


class HandleOwner(Protocol):
    """Called with what happens to the jobs of any engine; calls are synchronous."""

    @property
    def closed(self) -> bool:
        """Nothing is begun any more."""

    def changed(self) -> None:
        """The load may have changed."""

    def over(self, job: Job) -> None:
        """A job has ended; its engine has it no more."""


class EngineHandle:
    """An engine and its jobs; the `JobOwner` of these.

    Attributes:
        engine: Writes the answers.
        scheduler: Its jobs, waiting and active.
        prefill: What it prefills ahead.
        memory: What its model takes once it is loaded.
        last_used_s: When it last was given a job or ended one, of the event loop's time.
    """

    def __init__(
        self,
        engine: Engine,
        max_active: int,
        owner: HandleOwner,
        registry: EngineRegistry,
    ) -> None:
        """See `EngineRegistry.add`."""
        self.engine = engine
        self.scheduler = Scheduler(max_active, registry.clock)
        self.prefill = SpeculativePrefill(engine, registry.numbers)
        self.memory = ModelMemory()
        self.last_used_s = 0.0
        self._owner = owner
        self._registry = registry
        self._giving = Guard("giving an answer to the engine")

    @property
    def state(self) -> EngineState:
        """The engine's latest state."""
        return self.engine.state

    @property
    def unseen_bytes(self) -> int:
        """Memory of its model that the kernel says is available: mapped, or not taken yet."""
        match self.state.phase:
            case EnginePhase.LOADING | EnginePhase.RESTARTING:
                return self.memory.total_bytes
            case EnginePhase.READY:
                return self.memory.mapped_bytes
            case _:
                return 0

    @property
    def references(self) -> int:
        """Jobs and prompts to prefill that need this engine."""
        load = self.scheduler.load
        return load.active + load.queued + len(self.prefill.devices)

    @property
    def ready(self) -> bool:
        """Whether it may be given jobs."""
        return self.state.phase is EnginePhase.READY and not self._owner.closed

    @property
    def next_time(self) -> float | None:
        """See `Scheduler.next_time`; None also if no job may be begun."""
        return self.scheduler.next_time if self.ready else None

    def begin_next(self) -> None:
        """Give the engine its next job."""
        job = self.scheduler.next()
        if job is not None:
            self._begin(job)

    def preempt(self, job: Job) -> None:
        """Preempt a job, on engines where it can go on later."""
        if self.engine.capabilities.resumes:
            job.preempting = True
            self.engine.cancel(job.start.job)

    def allow_prefill(self, free: int) -> None:
        """Prefill ahead where there is room, for at most ``free`` devices."""
        hopeless = self.state.phase in (EnginePhase.MISSING, EnginePhase.RESTARTING)
        if hopeless or self._owner.closed or not self.engine.capabilities.prefill:
            self.prefill.allow(0)
        else:
            self.prefill.allow(max(0, min(free, self.scheduler.room_ahead())))

    def tell_places(self) -> None:
        """Set the position of all waiting jobs."""
        # Unloaded with a reason to be, it stays so until that is over; else it is loaded for them.
        unloaded = self.state.phase is EnginePhase.UNLOADED
        held = unloaded and self.scheduler.limits.max_active == 0
        loading = self.state.phase is not EnginePhase.READY and not held
        self.scheduler.tell_places(loading=loading)

    def put_right(self) -> None:
        """See to what would stand still if news of it got lost in an error nobody foresaw."""
        for job in [job for job in self.scheduler.active.values() if job.over]:
            self.over(job)
        if self.scheduler.load.queued and self.ready:
            self._registry.pump()

    def give_up(self, job: Job) -> None:
        """See `JobOwner.give_up`."""
        with self._giving:
            self.engine.cancel(job.start.job)

    # What jobs tell; see `JobOwner`.

    def progressed(self, job: Job) -> None:
        """See `JobOwner.progressed`."""
        self._registry.pump()

    def engine_lost(self, job: Job) -> None:
        """See `JobOwner.engine_lost`."""
        self.scheduler.requeue(job)
        self._owner.changed()

    def preempted(self, job: Job) -> None:
        """See `JobOwner.preempted`."""
        self.scheduler.preempted(job)
        self._registry.pump()

    def over(self, job: Job) -> None:
        """See `JobOwner.over`."""
        self.last_used_s = asyncio.get_running_loop().time()
        self.scheduler.over(job, self.last_used_s)
        self._owner.over(job)
        job.publisher.news(job)
        self._registry.pump()

    def _begin(self, job: Job) -> None:
        response, model = job.response, self.state.model
        response.model = response.model or model
        model_id = self.state.model_id
        if response.model != model:
            text = f"The box now runs '{model}', which cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        if not job.attempts.can_go_on_with(model_id):
            text = f"The file of '{model}' was replaced; the new one cannot go on with this answer."
            job.fail(Problem(Code.MODEL_MISSING, text))
            return
        if len(job.attempts) and not self.engine.capabilities.resumes:
            text = "The model stopped, and cannot go on with an answer it has begun."
            job.fail(Problem(Code.ENGINE_FAILED, text))
            return
        self.last_used_s = asyncio.get_running_loop().time()
        self.scheduler.active[response.response_id] = job
        with self._giving:
            self.engine.start(job.attempt(next(self._registry.numbers), model_id), job)
            return
        job.broken()
