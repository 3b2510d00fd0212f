"""A job that fails is started again, after waits that grow; by a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging

import pytest

from inglenook.common.restarting import JobFailed, TaskGuard, keep_running, restart_after_s


class Clock:
    """Seconds that go on only while somebody sleeps.

    Attributes:
        slept_s: Every wait.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.now += delay_s
        await asyncio.sleep(0)


class Job:
    """A job that fails so often, each time after so long, and then ends well."""

    def __init__(self, clock: Clock, failures: int, after_s: float = 0.0) -> None:
        self.begun = 0
        self._clock, self._failures, self._after_s = clock, failures, after_s

    async def run(self) -> None:
        self.begun += 1
        self._clock.now += self._after_s
        if self.begun <= self._failures:
            raise ValueError("what nobody foresaw")


async def test_a_job_that_ends_well_is_not_begun_again() -> None:
    """It was meant to end."""
    clock = Clock()
    job = Job(clock, failures=0)
    await keep_running("a job", job.run, sleep=clock.sleep, clock=clock)

    assert (job.begun, clock.slept_s) == (1, [])


async def test_a_job_that_fails_is_begun_again_after_growing_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It costs a round, and a line of the log that says when it comes back."""
    clock = Clock()
    job = Job(clock, failures=8)
    await keep_running("a job", job.run, sleep=clock.sleep, clock=clock)

    assert job.begun == 9
    assert clock.slept_s == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    [first] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "it is started again in 0.5 s" in first.getMessage()
    assert first.exc_info is not None


async def test_what_failed_long_ago_does_not_count() -> None:
    """A fault an hour costs half a second an hour, for ever."""
    clock = Clock()
    job = Job(clock, failures=5, after_s=3600.0)
    await keep_running("a job", job.run, sleep=clock.sleep, clock=clock)

    assert clock.slept_s == [0.5] * 5


async def test_a_job_without_which_there_is_no_box_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the fifth failure; whoever reads what the command says is told where to look."""
    clock = Clock()
    job = Job(clock, failures=100)
    with pytest.raises(JobFailed, match=r"the heart: failed 5 times .* the log says how"):
        await keep_running("the heart", job.run, tries=5, sleep=clock.sleep, clock=clock)

    assert job.begun == 5


async def test_such_a_job_within_another_is_not_begun_again_by_that() -> None:
    """The process is what has to be begun again."""
    clock = Clock()
    inner = Job(clock, failures=100)

    async def outer() -> None:
        await keep_running("inner", inner.run, tries=2, sleep=clock.sleep, clock=clock)

    with pytest.raises(JobFailed):
        await keep_running("outer", outer, sleep=clock.sleep, clock=clock)

    assert inner.begun == 2


async def test_a_cancelled_job_is_not_begun_again() -> None:
    """Neither while it runs nor while it waits."""
    clock = Clock()
    began = asyncio.Event()

    async def forever() -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keep_running("a job", forever, clock=clock), name="job")
        await began.wait()
        running.cancel()

    assert (running.cancelled(), clock.slept_s) == (True, [])


async def test_a_job_that_ends_by_anothers_cancelling_is_begun_again() -> None:
    """It waited for a future that somebody cancelled: a task group would lose it without a word."""
    clock = Clock()
    begun = 0

    async def wait_for_another() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            other = asyncio.get_running_loop().create_future()
            other.cancel()
            await other

    await keep_running("a job", wait_for_another, sleep=clock.sleep, clock=clock)

    assert (begun, clock.slept_s) == (2, [0.5])


def test_the_wait_is_that_of_the_failures_that_count() -> None:
    """Within five minutes."""
    assert restart_after_s([], 0.0) == 0.5
    assert restart_after_s([100.0, 200.0, 399.0], 400.0) == 1.0


async def test_a_job_that_fails_while_it_is_cancelled_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told; begun again, it would keep the box from ending."""
    clock = Clock()
    began = asyncio.Event()
    begun = 0

    async def run() -> None:
        nonlocal begun
        begun += 1
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        job = keep_running("a job", run, sleep=clock.sleep, clock=clock)
        running = tasks.create_task(job, name="job")
        await began.wait()
        running.cancel()

    assert (running.cancelled(), begun) == (True, 1)
    assert "it was about to end" in caplog.text


async def test_a_job_whose_own_task_fails_is_begun_again() -> None:
    """Python 3.11 leaves a task that waited for a group as if it had been cancelled itself."""
    clock = Clock()
    begun = 0

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def run() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail(), name="fails")

    await keep_running("a job", run, sleep=clock.sleep, clock=clock)

    assert (begun, clock.slept_s) == (3, [0.5, 1.0])


async def test_a_block_that_fails_while_its_task_is_cancelled_does_not_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A plain guard would swallow the cancellation with what took its place."""
    went_on = False
    began = asyncio.Event()

    async def wait() -> None:
        nonlocal went_on
        with TaskGuard("a block"):
            try:
                began.set()
                await asyncio.get_running_loop().create_future()
            finally:
                raise ZeroDivisionError
        went_on = True

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait(), name="waits")
        await began.wait()
        waiting.cancel()

    assert (waiting.cancelled(), went_on) == (True, False)
    assert "a block: an unexpected error" in caplog.text


async def test_a_block_whose_own_task_fails_goes_on() -> None:
    """Nobody has cancelled it."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with TaskGuard("a block"):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail(), name="fails")
    with TaskGuard("a block"):
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()
    await asyncio.sleep(0)
