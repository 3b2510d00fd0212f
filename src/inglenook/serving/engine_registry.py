"""The engines of the box by the names of their models, in one fair order. Kind: hands."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import Engine
from inglenook.serving.admission import model_name, raise_if
from inglenook.serving.engine_handle import EngineHandle, HandleOwner
from inglenook.serving.job import Job
from inglenook.serving.limits import ServingLimits
from inglenook.serving.queue import FairClock
from inglenook.serving.response import Response
from inglenook.serving.scheduler import SchedulerLoad, choose_preempted


class EngineRegistry:
    """Engines with one fairness clock for all, and one bound of the answers written at once.

    Attributes:
        clock: Virtual time of every device, whichever engine serves it.
        max_active: Answers that may be written at once by all engines together; what each may
            write is in the limits of its scheduler.
        numbers: For the jobs of all engines.
    """

    def __init__(self, owner: HandleOwner) -> None:
        """Start without engines; ``owner`` is called with what happens to their jobs."""
        self.clock = FairClock()
        self.max_active: float = math.inf
        self._owner = owner
        self.numbers = itertools.count(1)
        self._handles: list[EngineHandle] = []
        self._pumping = False

    def __iter__(self) -> Iterator[EngineHandle]:
        return iter(self._handles)

    def add(self, engine: Engine, *, max_active: int) -> EngineHandle:
        """Take charge of an engine; whoever owns it calls `pump` on every new state.

        Args:
            engine: Writes answers; the first that is added gets requests that name no model.
            max_active: Answers that it may write at once until `limit` says otherwise.
        """
        handle = EngineHandle(engine, max_active, self._owner, self)
        self._handles.append(handle)
        return handle

    def find(self, model: str | None) -> EngineHandle:
        """The engine of that model, by its short name; the first if there is none, or no name.

        An engine whose model is not known yet may have any.
        """
        wanted = model_name(model)
        named = [handle for handle in self if wanted and handle.state.model.lower() == wanted]
        unknown = [handle for handle in self if not handle.state.model]
        return (named or (unknown if wanted else []) or self._handles)[0]

    def having(self, job: Job) -> EngineHandle | None:
        """The engine that has a job now; None while it waits."""
        return next((handle for handle in self if job in handle.scheduler.active.values()), None)

    @property
    def models(self) -> list[str]:
        """Short names of the models, as far as they are known."""
        return [handle.state.model for handle in self if handle.state.model]

    @property
    def load(self) -> SchedulerLoad:
        """How much is going on, at all engines."""
        loads = [handle.scheduler.load for handle in self]
        together = sum(load.max_active for load in loads)
        return SchedulerLoad(
            sum(load.active for load in loads),
            sum(load.queued for load in loads),
            int(min(together, self.max_active)),
        )

    @property
    def refusal(self) -> Problem | None:
        """Why all engines refuse requests just now; None while one takes them."""
        refusals = [handle.scheduler.limits.refuse for handle in self]
        return refusals[0] if refusals and all(refusals) else None

    @property
    def crowded(self) -> bool:
        """See `Scheduler.crowded`."""
        return any(handle.scheduler.crowded for handle in self)

    @property
    def active(self) -> list[Job]:
        """Jobs that engines have, oldest attempt first."""
        jobs = [job for handle in self for job in handle.scheduler.active.values()]
        return sorted(jobs, key=lambda job: job.start.job)

    def waiting(self, device_id: str) -> int:
        """How many jobs of a device wait, at all engines."""
        return sum(handle.scheduler.waiting(device_id) for handle in self)

    def held_bytes(self, but: EngineHandle) -> int:
        """Memory of the models of all other engines, see `EngineHandle.unseen_bytes`."""
        return sum(handle.unseen_bytes for handle in self if handle is not but)

    @property
    def preparing(self) -> int:
        """For how many devices prompts are prefilled ahead, or are to be."""
        return sum(len(handle.prefill.devices) for handle in self)

    def put(self, job: Job, handle: EngineHandle, weight: float) -> None:
        """Queue a new job for an engine; see `FairQueue.put`."""
        for each in self:
            each.prefill.asked(job.response.device_id)
        handle.scheduler.put(job, weight=weight)
        self.pump()

    def make_room_ahead(self, handle: EngineHandle, device_id: str) -> None:
        """End what a device has prefilled ahead, for a newer prompt at one engine.

        Raises:
            Problem: If there is no room for that.
        """
        raise_if(handle.scheduler.limits.read_ahead)
        self.allow_prefill()
        if not handle.prefill.may_take(device_id):
            raise Problem(Code.BUSY, "The box has no time to read ahead just now.")
        for each in self:
            each.prefill.stop_device(device_id)

    def forget(self, device_id: str) -> None:
        """Prefill nothing more for a device that is no longer paired."""
        for handle in self:
            handle.prefill.forget(device_id)

    def limit(self, limits: ServingLimits) -> None:
        """Let all together write no more than that from now on, and each of them.

        Answers that are too many stand aside, the newest first, and go on when there is room.
        """
        self.max_active = limits.max_active
        for handle in self:
            handle.scheduler.limits = limits
        self.pump()

    def cancel(self, response: Response) -> bool:
        """End the job of a response soon; says whether it was still wanted until now."""
        for handle in self:
            active = handle.scheduler.active.get(response.response_id)
            if active is not None:
                wanted, active.unwanted = not active.unwanted, True
                if wanted:
                    handle.engine.cancel(active.start.job)
                return wanted
            waiting = handle.scheduler.take_waiting(response)
            if waiting is not None:
                waiting.cancelled()
                return True
        return False

    def purge(self) -> None:
        """Have all engines forget what they retain of conversations."""
        for handle in self:
            handle.engine.purge()

    def forget_idle(self) -> None:
        """Drop what need not be known of devices; see `FairClock.forget_idle`."""
        self.clock.forget_idle(set[str]().union(*(handle.scheduler.devices for handle in self)))

    def put_right(self) -> None:
        """See `EngineHandle.put_right`."""
        for handle in self:
            handle.put_right()

    def pump(self) -> None:
        """Give the engines what they may have, and tell the rest where they stand."""
        if self._pumping:
            # A job that was just begun has ended at once; whoever began it looks for the next.
            return
        self._pumping = True
        try:
            while (handle := self._next()) is not None:
                handle.begin_next()
            self._preempt()
            self.allow_prefill()
        finally:
            self._pumping = False
        for handle in self:
            handle.tell_places()
        self._owner.changed()

    def allow_prefill(self) -> None:
        """Let each engine prefill ahead in places that nobody has or wants."""
        load = self.load
        for handle in self:
            handle.allow_prefill(load.max_active - load.active - load.queued)

    def _next(self) -> EngineHandle | None:
        """The engine whose next job's device is least far by the one clock."""
        if len(self.active) >= self.max_active:
            return None
        times = [(handle.next_time, handle) for handle in self]
        able = [(time, handle) for time, handle in times if time is not None]
        return min(able, key=lambda pair: pair[0], default=(0.0, None))[1]

    def _preempt(self) -> None:
        """Preempt jobs: first by each engine's own bound, then by that of all."""
        for handle in self:
            for job in handle.scheduler.to_preempt():
                handle.preempt(job)
        if math.isinf(self.max_active):
            return
        staying = [job for job in self.active if not job.preempting]
        able = [handle for handle in self if handle.next_time is not None]
        first = min(able, key=lambda handle: handle.next_time or 0.0, default=None)
        newcomer = None if first is None else first.scheduler.newcomer
        for job in choose_preempted(staying, int(self.max_active), newcomer):
            its = self.having(job)
            if its is not None:
                its.preempt(job)
