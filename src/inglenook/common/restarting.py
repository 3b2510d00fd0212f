"""Restarts jobs that end with an unexpected exception. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any

from inglenook.common.errors import StartupError
from inglenook.common.guarded import Guard

#: First and longest wait before a restart, seconds. The longest is well below the period of
#: systemd's watchdog.
_FIRST_S, _LONGEST_S = 0.5, 30.0

#: Older failures do not count, seconds.
_WINDOW_S = 300.0

#: Failures within that time after which an essential job ends the process; systemd then starts a
#: new one, which resumes unfinished answers from the journal.
HEART_TRIES = 5


def restart_after_s(failures: Sequence[float], now: float) -> float:
    """Return the wait before a restart, seconds, by the times of failures (of any clock)."""
    recent = len(still_counting(failures, now))
    return min(_FIRST_S * 2.0 ** max(recent - 1, 0), _LONGEST_S)


def still_counting(failures: Sequence[float], now: float) -> list[float]:
    """Return the failures that still count, so that the list stays short."""
    return [failed for failed in failures if now - failed < _WINDOW_S]


class TaskGuard(Guard):
    """A `Guard` for a block that awaits.

    If the block raises something else while its task is being cancelled, that is logged, and the
    cancellation goes on.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow every `Exception`, except one that took a cancellation's place."""
        swallowed = super().__exit__(kind, exc, trace)
        if swallowed and exc is not None and _replaced_a_cancellation(exc):
            raise asyncio.CancelledError from exc
        return swallowed


class JobFailed(StartupError):
    """An essential job has failed too often."""

    def __init__(self, name: str, times: int) -> None:
        super().__init__(name, times)
        self.name, self.times = name, times

    def __str__(self) -> str:
        return (
            f"{self.name}: failed {self.times} times within five minutes, and the box cannot do "
            "without it; the log says how. Start the box again, and report it if that does not help"
        )


async def keep_running(
    name: str,
    run: Callable[[], Coroutine[Any, Any, None]],
    *,
    tries: int | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] | None = None,
) -> None:
    """Run a job until it returns or this is cancelled, and again whenever it raises.

    Args:
        name: Its name in the log and the metrics.
        run: The job; may be called again after it raised.
        tries: Number of failures within five minutes that is too many; None is no limit.
        sleep: Waits before a restart.
        clock: Seconds; the event loop's by default.

    Raises:
        JobFailed: If it failed too often.
    """
    guard = Guard(name)
    clock = clock or asyncio.get_running_loop().time
    failures: list[float] = []
    while True:
        outcome = _Outcome()
        try:
            await outcome.run(run)
        except asyncio.CancelledError:
            if isinstance(outcome.raised, Exception):
                guard.note(outcome.raised, "it was about to end")
            raise
        failure = outcome.raised
        if failure is None:
            return
        if isinstance(failure, JobFailed):
            # From a job within this one; only the whole process can restart then.
            raise failure
        now = clock()
        failures = [*still_counting(failures, now), now]
        if tries is not None and len(failures) >= tries:
            guard.note(failure, "the box cannot do without it and ends")
            raise JobFailed(name, len(failures))
        wait_s = restart_after_s(failures, now)
        guard.note(failure, f"it is started again in {wait_s:g} s")
        await sleep(wait_s)


class _Outcome:
    """Runs a job in a task of its own, and stores the exception it raised.

    In Python 3.11 only a task of its own shows whether it was cancelled: when a task of a TaskGroup
    fails, the one that awaits the group may count as cancelled for ever after.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    async def run(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run it to its end; raises only the cancellation of this task."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._contain(run), name="job")

    async def _contain(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except asyncio.CancelledError as exc:
            # If this task was not cancelled, something that the job awaited was. Unnoticed, the
            # job would end without a log line.
            self.raised = exc
        except Exception as exc:  # noqa: BLE001  # the one place: see CONTRIBUTING.md
            self.raised = exc


def _replaced_a_cancellation(exc: BaseException) -> bool:
    """Return whether an exception replaced the cancellation of this task."""
    task = asyncio.current_task()
    if task is None or not task.cancelling() or isinstance(exc, TimeoutError):
        # The cancellation of a deadline ends with the deadline.
        return False
    before = exc.__context__
    while before is not None and not isinstance(before, asyncio.CancelledError):
        before = before.__context__
    return before is not None
