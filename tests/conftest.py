"""Fixtures every test shares: a leak check, and an alarm for blocking calls on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After every test: no thread and no child process that was not there before."""
    threads_before = set(threading.enumerate())
    children_before = set(psutil.Process().children())
    yield
    for thread in set(threading.enumerate()) - threads_before:
        # The loop's default executor keeps idle workers until the loop closes, which is after us.
        if not thread.name.startswith("asyncio_"):
            thread.join(timeout=5)
            assert not thread.is_alive(), f"thread left behind: {thread.name}"
    children = set(psutil.Process().children()) - children_before
    _gone, alive = psutil.wait_procs(children, timeout=5)
    for child in alive:
        child.kill()
    assert not alive, f"children left behind: {alive}"


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """After every test that uses the loop: no task that was not there before, and no blocking call."""
    tasks_before = asyncio.all_tasks()
    with blockbuster_ctx("inglenook"):
        yield
    left = {task for task in asyncio.all_tasks() - tasks_before if not task.done()}
    left.discard(asyncio.current_task())  # type: ignore[arg-type]  # a fixture always runs in a task
    assert not left, f"tasks left behind: {left}"
