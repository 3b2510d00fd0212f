"""Waiting, active and preempted jobs of one engine, and which is next. Kind: rules."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inglenook.serving.limits import ServingLimits
from inglenook.serving.queue import FairClock, FairQueue
from inglenook.serving.response_parts import QueuePosition, WaitReason
from inglenook.serving.service_time import ServiceTime

if TYPE_CHECKING:
    from inglenook.serving.job import Job
    from inglenook.serving.response import Response


@dataclass(frozen=True, slots=True)
class SchedulerLoad:
    """Number of jobs.

    Attributes:
        max_active: Answers that may be written at once.
    """

    active: int
    queued: int
    max_active: int


class Scheduler:
    """Jobs that are not over: waiting in the fair queue, requeued from a dead engine, or active.

    Attributes:
        limits: The latest.
        active: Jobs that the engine has, by response; the newest is last.
    """

    def __init__(self, max_active: int, clock: FairClock | None = None) -> None:
        """Take how many jobs may be active until `limits` are set.

        Args:
            max_active: That number.
            clock: Orders the devices; schedulers of several engines share it.
        """
        self.limits = ServingLimits(max_active)
        self.active: dict[str, Job] = {}
        # Half of the places: requests must never wait for prompts that may not come.
        self._ahead_max = max(max_active // 2, 1)
        self._queue: FairQueue[Job] = FairQueue(clock)
        self._requeued: deque[Job] = deque()
        self._service_time = ServiceTime()

    @property
    def load(self) -> SchedulerLoad:
        """How much is going on now."""
        queued = len(self._queue) + len(self._requeued)
        return SchedulerLoad(len(self.active), queued, self.limits.max_active)

    @property
    def crowded(self) -> bool:
        """Whether jobs wait for places that others have; without an engine none has one."""
        return len(self._queue) > 0 and len(self.active) > 0

    @property
    def retry_after_s(self) -> float:
        """After how long a request that finds the queue full is worth repeating."""
        return self._service_time.eta_s(self.load.queued, self.limits.max_active)

    def waiting(self, device_id: str) -> int:
        """Number of waiting jobs of a device."""
        return self._queue.waiting(device_id)

    def put(self, job: Job, *, weight: float) -> None:
        """Queue a new job; see `FairQueue.put`."""
        self._queue.put(job.response.device_id, job, weight=weight)

    def requeue(self, job: Job) -> None:
        """Queue a job again, before all others: its engine, or a daemon, has died."""
        self.active.pop(job.response.response_id, None)
        self._requeued.append(job)

    def preempted(self, job: Job) -> None:
        """Queue a job again that was preempted; it goes on at its device's turn."""
        del self.active[job.response.response_id]
        self._queue.put_back(job.response.device_id, job, age=_age)

    def over(self, job: Job, now: float) -> None:
        """A job has ended."""
        self.active.pop(job.response.response_id, None)
        if job.begun_at is None:
            return
        self._queue.clock.charge(job.response.device_id, job.tokens - job.advance_tokens)
        if job.gained:
            self._service_time.learn(now - job.begun_at, job.tokens)

    def take_waiting(self, response: Response) -> Job | None:
        """Take out the job of a response; None if it does not wait."""
        for job in (*self._requeued, *self._queue.in_order(self._service_time.answer_tokens)):
            if job.response is response:
                if job in self._requeued:
                    self._requeued.remove(job)
                self._queue.remove(response.device_id, job)
                return job
        return None

    def take_all_waiting(self) -> list[Job]:
        """Take out everything that waits."""
        requeued, self._requeued = self._requeued, deque()
        return [*requeued, *self._queue.clear()]

    def next(self) -> Job | None:
        """Take the next job: requeued ones, one by one; then the fair queue.

        The next requeued one begins only when the one before has got a token. So if the engine
        dies again at once, it is clear which of them it died of, and the others do not suffer. One
        that got no token from its last engine goes before those that did: were it always behind
        them, engines that are killed often would never let it get one.
        """
        if len(self.active) >= self.limits.max_active or self._proving:
            return None
        if self._requeued:
            first = min(self._requeued, key=lambda job: job.gained > 0)
            self._requeued.remove(first)
            return first
        job = self._queue.take(self._service_time.answer_tokens)
        if job is not None:
            job.advance_tokens += self._service_time.answer_tokens
        return job

    @property
    def next_time(self) -> float | None:
        """Virtual time of the job that `next` would give; None if it would give none.

        Jobs that an engine died under are before all others.
        """
        if len(self.active) >= self.limits.max_active or self._proving:
            return None
        if self._requeued:
            return -math.inf
        device_id = self._queue.next_device()
        return None if device_id is None else self._queue.clock.times[device_id]

    @property
    def newcomer(self) -> str | None:
        """The device whose turn is next, unless jobs go first that an engine died under."""
        return None if self._requeued else self._queue.next_device()

    @property
    def staying(self) -> list[Job]:
        """Active jobs that are not being preempted, oldest first."""
        return [job for job in self.active.values() if not job.preempting]

    def to_preempt(self) -> list[Job]:
        """Jobs to preempt now, see `to_preempt`; they go on after their tokens."""
        return choose_preempted(self.staying, self.limits.max_active, self.newcomer)

    def room_ahead(self) -> int:
        """For how many devices prompts may be read ahead: places nobody has or wants, up to half.

        None at all while an answer has to prove that its engine did not die of it.
        """
        if self._requeued or self._proving or self.limits.refuse or self.limits.read_ahead:
            return 0
        free = self.limits.max_active - len(self.active) - len(self._queue)
        return max(0, min(free, self._ahead_max))

    def tell_places(self, *, loading: bool) -> None:
        """Set the position of all waiting jobs; ``loading``: they wait for an engine."""
        reason = WaitReason.LOADING if loading else self.limits.reason
        in_order = (*self._requeued, *self._queue.in_order(self._service_time.answer_tokens))
        for position, job in enumerate(in_order, start=1):
            eta_s = self._service_time.eta_s(position, self.limits.max_active)
            job.response.wait_at(QueuePosition(position, eta_s, reason))

    @property
    def devices(self) -> set[str]:
        """Devices that have a job here."""
        jobs = (*self.active.values(), *self._requeued)
        return {job.response.device_id for job in jobs} | set(self._queue.devices)

    @property
    def _proving(self) -> bool:
        return any(job.proving for job in self.active.values())


def choose_preempted(staying: list[Job], max_active: int, newcomer: str | None) -> list[Job]:
    """Choose jobs to preempt for a limit, or for a device that has nothing.

    Of all jobs the newest, if the limit has fallen. And one device may have all places only while
    no other waits: then its newest is preempted for a device that has none.

    Args:
        staying: Active jobs, oldest first.
        max_active: Answers that may be written at once.
        newcomer: The device whose turn is next.
    """
    if len(staying) > max_active:
        return staying[max_active:]
    counts = Counter(job.response.device_id for job in staying)
    if newcomer is None or newcomer in counts or not staying or len(staying) < max_active:
        return []
    [(most, count)] = counts.most_common(1)
    newest = [job for job in staying if job.response.device_id == most][-1]
    return [newest] if count > 1 else []


def _age(job: Job) -> float:
    """Order within one device's line: the job that began first goes on first."""
    return math.inf if job.begun_at is None else job.begun_at
