"""What becomes of an exception that no job of the daemon has caught. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from inglenook.common.errors import InglenookError
from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.common.threads import Threads

#: Runs until it is cancelled, or once.
BackgroundJob: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@contextmanager
def lasting() -> Iterator[None]:
    """Log unforeseen errors in one form within this block, wherever they are raised.

    Those of callbacks, which asyncio would log at length each time; those of threads, which must
    reach their callers; and the end of a job without which there is no box.

    Raises:
        InglenookError: That a job raised to end the process, out of the groups it was raised in.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(_Callbacks())
    loop.set_default_executor(Threads(thread_name_prefix="asyncio"))
    try:
        yield
    except BaseExceptionGroup as group:
        meant = _first(group)
        if meant is None:
            raise
        raise meant from None
    finally:
        loop.set_exception_handler(before)


async def once(name: str, run: BackgroundJob) -> None:
    """Run a job that is not begun again if it fails.

    Raises:
        OSError: If what it says cannot be written, as when nobody reads it any more: then the
            process ends, as every command does.
    """
    with TaskGuard(name, foreseen=(OSError,)):
        await run()


class _Callbacks:
    """Handles the event loop's uncaught exceptions."""

    def __init__(self) -> None:
        self._guard = Guard("a callback")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if exc is None or isinstance(exc, OSError):
            # Of a connection, mostly, or no exception at all.
            loop.default_exception_handler(context)
        else:
            self._guard.note(exc)


def _first(group: BaseExceptionGroup[BaseException]) -> InglenookError | None:
    """The first of our own errors in a group, if nothing in it is of another kind."""
    if group.split(InglenookError)[1] is not None:
        return None
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc if isinstance(exc, InglenookError) else None
