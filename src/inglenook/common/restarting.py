"""Keeps a job running: one that fails in a way nobody foresaw is started again. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any

from inglenook.common.errors import StartupError
from inglenook.common.guarded import Guard

#: How long to wait before a job is started again, at first and at most, seconds. The most is well
#: below the time in which systemd's watchdog wants to hear of us.
_FIRST_S, _LONGEST_S = 0.5, 30.0

#: Failures longer ago say nothing about now, seconds.
_WINDOW_S = 300.0

#: A job without which there is no box may fail so often within that time; then the process ends,
#: for systemd to start a new one, which takes unfinished answers from the journal.
HEART_TRIES = 5


def restart_after_s(failures: Sequence[float], now: float) -> float:
    """Say how long to wait, seconds, given when the job failed lately (seconds of any clock)."""
    recent = len(still_counting(failures, now))
    return min(_FIRST_S * 2.0 ** max(recent - 1, 0), _LONGEST_S)


def still_counting(failures: Sequence[float], now: float) -> list[float]:
    """Return those failures that still matter, so that the list stays short."""
    return [failed for failed in failures if now - failed < _WINDOW_S]


class TaskGuard(Guard):
    """A `Guard` for a block that waits.

    A task that was cancelled, and whose block raised something else while it ended, ends all the
    same: what was raised is told, and the cancellation goes on.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """See `Guard`."""
        swallowed = super().__exit__(kind, exc, trace)
        if swallowed and exc is not None and _replaced_a_cancellation(exc):
            raise asyncio.CancelledError from exc
        return swallowed


class JobFailed(StartupError):
    """A job without which there is no box has failed too often."""

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
        name: As the log and the metrics call it.
        run: The job. It must be fit to be called anew after it raised.
        tries: So many failures within five minutes are too many; None bears any number.
        sleep: Waits before another start.
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
            # One within this one; to begin anew is for the whole process to do.
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
    """Has a job run in a task of its own, and keeps what it raised.

    Of its own, as one can tell of no other in Python 3.11 whether it was cancelled: when a task of
    a TaskGroup fails, the one that waits for the group may count as cancelled for ever after.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    async def run(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run it to its end; raises nothing but that this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._contain(run), name="job")

    async def _contain(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except asyncio.CancelledError as exc:
            # If it is not us who were cancelled, it waited for something else that was. Unnoticed,
            # the job would be gone without a word.
            self.raised = exc
        except Exception as exc:  # noqa: BLE001  # the one place: see CONTRIBUTING.md
            self.raised = exc


def _replaced_a_cancellation(exc: BaseException) -> bool:
    """Whether an exception was raised while this task was being cancelled, and took its place."""
    task = asyncio.current_task()
    if task is None or not task.cancelling() or isinstance(exc, TimeoutError):
        # A deadline's own cancellation ends with it.
        return False
    before = exc.__context__
    while before is not None and not isinstance(before, asyncio.CancelledError):
        before = before.__context__
    return before is not None
