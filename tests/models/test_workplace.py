"""The lock, the directory and the thread of a pull."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inglenook.models.workplace import in_thread, only_pull, work_directory

PATIENCE_S = 30

HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """Another process's pull is waited for; when it is killed, its lock goes with it."""
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD_LOCK, str(tmp_path / ".pull.lock")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await holder.stdout.readline() == b"held\n"
        waited: list[int] = []

        def waiting() -> None:
            waited.append(1)
            if len(waited) == 1:
                holder.kill()

        async with only_pull(tmp_path, waiting):
            assert waited
        await holder.communicate()


async def test_the_work_directory_is_private_and_goes_away(tmp_path: Path) -> None:
    """It stands beside the models, is its owner's alone, and is removed with its content."""
    async with work_directory(tmp_path) as directory:
        assert directory.parent == tmp_path
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "half").write_bytes(b"...")

    assert not directory.exists()


async def test_a_cancelled_thread_is_told_and_waited_for() -> None:
    """When the cancelled call comes back, its thread has ended, whatever it raised."""
    started, stop, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert stop.wait(PATIENCE_S)
        ended.set()
        raise ValueError("nobody waits for this")

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(in_thread(work, on_cancel=stop.set), name="work")
        await asyncio.to_thread(started.wait, PATIENCE_S)
        task.cancel()

    assert task.cancelled()
    assert ended.is_set()


async def test_a_thread_gives_back_what_it_returns_or_raises() -> None:
    """Without cancelling, it is a plain call."""
    assert await in_thread(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
