"""Lock and temporary directory of a model's download. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from inglenook.common.lockfile import LockFile
from inglenook.models.download import DOWNLOAD_S

T = TypeVar("T")

_LOOK_S = 0.25


@contextlib.asynccontextmanager
async def only_pull(models_dir: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock on a directory, creating both; the kernel frees it however its holder dies.

    Args:
        models_dir: The directory.
        waiting: Called repeatedly while another process holds the lock.

    Raises:
        TimeoutError: If the other holds it for longer than a download may take.
        OSError: If the directory cannot be written.
    """
    lock = LockFile(models_dir / ".pull.lock")
    try:
        async with asyncio.timeout(DOWNLOAD_S):
            await in_thread(lambda: models_dir.mkdir(parents=True, exist_ok=True))
            while not await in_thread(lock.try_acquire):
                waiting()
                await asyncio.sleep(_LOOK_S)
        yield
    finally:
        lock.release()


@contextlib.asynccontextmanager
async def work_directory(models_dir: Path) -> AsyncIterator[Path]:
    """Make a directory beside the models, so that the last step is a rename, and remove it after.

    The caller holds the lock, so any other such directory was left by a pull that was killed.

    Raises:
        OSError: If it cannot be made.
    """
    directory = models_dir / f".pull-{secrets.token_hex(4)}"

    def make() -> None:
        for left_behind in models_dir.glob(".pull-*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        directory.mkdir(mode=0o700)

    try:
        await in_thread(make)
        yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def in_thread(function: Callable[[], T], on_cancel: Callable[[], None] | None = None) -> T:
    """Run a blocking function in a thread; when cancelled, wait until it lets go of its files.

    Args:
        function: The function.
        on_cancel: Called when cancelled, to make the function stop early.
    """
    running = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        await asyncio.wait([running])
        running.exception()  # asyncio would log one that was never retrieved
        raise
    return running.result()
