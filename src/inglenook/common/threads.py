"""Executor whose every exception reaches the awaiting task. Kind: hands."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads(ThreadPoolExecutor):
    """Executor that asyncio can await even if StopIteration is raised in it."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call ``fn`` in a thread."""
        return super().submit(without_stop, fn, *args, **kwargs)


def without_stop(fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call ``fn``; a StopIteration becomes a RuntimeError.

    No future of asyncio can hold one before Python 3.12: it would never be done.
    """
    try:
        return fn(*args, **kwargs)
    except StopIteration as exc:
        raise RuntimeError("StopIteration was raised in a thread") from exc
