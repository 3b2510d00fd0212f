"""Who is with the engine, who goes there next, and who has to stand aside. Kind: rules."""

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
    """How much is going on.

    Attributes:
        max_active: Answers that may be written at once.
    """

    active: int
    queued: int
    max_active: int


class Scheduler:
    """All jobs that are not over: in the fair queue, back from a dead engine, or with an engine.

    Attributes:
        limits: The latest.
        active: Those with the engine, by response; who began last is last.
    """

    def __init__(self, max_active: int, clock: FairClock | None = None) -> None:
        """Take how many may be with the engine until somebody sets other `limits`.

        Args:
            max_active: That number.
            clock: Orders the devices; schedulers of several engines share it.
        """
        self.limits = ServingLimits(max_active)
        self.active: dict[str, Job] = {}
        # Half of the places: who reads along must never wait for who might ask.
        self._ahead_max = max(max_active // 2, 1)
        self._queue: FairQueue[Job] = FairQueue(clock)
        self._returning: deque[Job] = deque()
        self._pace = ServiceTime()

    @property
    def load(self) -> SchedulerLoad:
        """How much is going on now."""
        queued = len(self._queue) + len(self._returning)
        return SchedulerLoad(len(self.active), queued, self.limits.max_active)

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a place that another has; without an engine nobody has one."""
        return len(self._queue) > 0 and len(self.active) > 0

    @property
    def retry_after_s(self) -> float:
        """When a newcomer who finds the queue full had better come back."""
        return self._pace.eta_s(self.load.queued, self.limits.max_active)

    def waiting(self, device_id: str) -> int:
        """How many of a device wait for a place."""
        return self._queue.waiting(device_id)

    def put(self, job: Job, *, weight: float) -> None:
        """A job is new; see `FairQueue.put`."""
        self._queue.put(job.response.device_id, job, weight=weight)

    def returns(self, job: Job) -> None:
        """An engine or a daemon died under a job, and it wants another."""
        self.active.pop(job.response.response_id, None)
        self._returning.append(job)

    def stood_aside(self, job: Job) -> None:
        """A job has given up its place, and wants to go on when it is its device's turn again."""
        del self.active[job.response.response_id]
        self._queue.put_back(job.response.device_id, job, age=_age)

    def over(self, job: Job, now: float) -> None:
        """A job has ended."""
        self.active.pop(job.response.response_id, None)
        if job.begun_at is None:
            return
        self._queue.clock.charge(job.response.device_id, job.tokens - job.advance_tokens)
        if job.gained:
            self._pace.learn(now - job.begun_at, job.tokens)

    def take_waiting(self, response: Response) -> Job | None:
        """Take out the job of a response; None if it does not wait."""
        for job in (*self._returning, *self._queue.in_order(self._pace.answer_tokens)):
            if job.response is response:
                if job in self._returning:
                    self._returning.remove(job)
                self._queue.remove(response.device_id, job)
                return job
        return None

    def take_all_waiting(self) -> list[Job]:
        """Take out everything that waits."""
        returning, self._returning = self._returning, deque()
        return [*returning, *self._queue.clear()]

    def next(self) -> Job | None:
        """Who goes next: those that an engine died under, one by one; then the fair queue.

        The next of the returning goes only when the one before has got a token. So if the engine
        dies again at once, it is clear which of them it died of, and the others do not suffer. One
        that got no token from its last engine goes before those that did: were it always behind
        them, engines that are killed often would never let it get one.
        """
        if len(self.active) >= self.limits.max_active or self._proving:
            return None
        if self._returning:
            first = min(self._returning, key=lambda job: job.gained > 0)
            self._returning.remove(first)
            return first
        job = self._queue.take(self._pace.answer_tokens)
        if job is not None:
            job.advance_tokens += self._pace.answer_tokens
        return job

    @property
    def next_time(self) -> float | None:
        """Virtual time of the job that `next` would give; None if it would give none.

        Jobs that an engine died under are before all others.
        """
        if len(self.active) >= self.limits.max_active or self._proving:
            return None
        if self._returning:
            return -math.inf
        device_id = self._queue.next_device()
        return None if device_id is None else self._queue.clock.times[device_id]

    @property
    def newcomer(self) -> str | None:
        """The device whose turn is next, unless jobs go first that an engine died under."""
        return None if self._returning else self._queue.next_device()

    @property
    def staying(self) -> list[Job]:
        """Active jobs that were not asked to stand aside, oldest first."""
        return [job for job in self.active.values() if not job.makes_way]

    def too_many(self) -> list[Job]:
        """Jobs that have to stand aside now, see `to_preempt`; they go on after their tokens."""
        return to_preempt(self.staying, self.limits.max_active, self.newcomer)

    def room_ahead(self) -> int:
        """For how many devices prompts may be read ahead: places nobody has or wants, up to half.

        None at all while an answer has to prove that its engine did not die of it.
        """
        if self._returning or self._proving or self.limits.refuse or self.limits.read_ahead:
            return 0
        free = self.limits.max_active - len(self.active) - len(self._queue)
        return max(0, min(free, self._ahead_max))

    def tell_places(self, *, loading: bool) -> None:
        """Tell all that wait where they stand; ``loading`` says that they wait for an engine."""
        reason = WaitReason.LOADING if loading else self.limits.reason
        in_order = (*self._returning, *self._queue.in_order(self._pace.answer_tokens))
        for position, job in enumerate(in_order, start=1):
            eta_s = self._pace.eta_s(position, self.limits.max_active)
            job.response.wait_at(QueuePosition(position, eta_s, reason))

    @property
    def devices(self) -> set[str]:
        """Devices that have a job here."""
        jobs = (*self.active.values(), *self._returning)
        return {job.response.device_id for job in jobs} | set(self._queue.devices)

    @property
    def _proving(self) -> bool:
        return any(job.proving for job in self.active.values())


def to_preempt(staying: list[Job], max_active: int, newcomer: str | None) -> list[Job]:
    """Jobs that have to stand aside for a limit, or for a device that has nothing.

    Of all answers the newest, if the limit has fallen. And one device may have all places only
    while nobody else wants them: then its newest makes way for a device that has nothing.

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
    """For the order of one device's line: who began first goes on first."""
    return math.inf if job.begun_at is None else job.begun_at
