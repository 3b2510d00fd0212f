"""A thread for what may hang in a driver. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Protocol, TypeVar

from inglenook.common.threads import without_stop

_T = TypeVar("_T")


class Begin(Protocol):
    """Has something done in the thread; what is raised there, the future raises."""

    def __call__(self, job: Callable[[], _T], /) -> asyncio.Future[_T]:
        """Never waits."""


@contextlib.contextmanager
def driver_thread() -> Iterator[Begin]:
    """Have a thread that does, one after the other, whatever the function this gives is given.

    Its end is not waited for, as that of an executor's would be: a thread that hangs in a driver
    must not keep the program from ending.
    """
    wanted: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def work() -> None:
        while (job := wanted.get()) is not None:
            job()

    def begin(job: Callable[[], _T], /) -> asyncio.Future[_T]:
        result: Future[_T] = Future()
        wanted.put(partial(_do, job, result))
        return asyncio.wrap_future(result)

    threading.Thread(target=work, name="governor", daemon=True).start()
    try:
        yield begin
    finally:
        wanted.put(None)


def _do(job: Callable[[], _T], result: Future[_T]) -> None:
    """Do the job, unless it was cancelled."""
    if not result.set_running_or_notify_cancel():
        return
    try:
        done = without_stop(job)
    except BaseException as exc:  # noqa: BLE001  # raised where the result is awaited
        result.set_exception(exc)
    else:
        result.set_result(done)
