"""What nobody else catches is told in one form, and what must end the process ends it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from inglenook.common.errors import StartupError
from inglenook.common.restarting import JobFailed, keep_running
from inglenook.daemon.uncaught import lasting, once

SOON_S = 20.0


def fail() -> None:
    raise ZeroDivisionError


def stop() -> None:
    raise StopIteration


async def test_a_callback_that_fails_is_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once with its trace, and the loop goes on; afterwards the loop is as it was."""
    loop = asyncio.get_running_loop()
    with lasting():
        for _ in range(3):
            loop.call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("a callback: an unexpected error")
    assert record.exc_info is not None
    assert loop.get_exception_handler() is None


async def test_what_is_no_exception_of_ours_is_left_to_asyncio(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A connection's trouble, which its own filters know; or a mere message."""
    with lasting():
        handler = asyncio.get_running_loop().call_exception_handler
        handler({"message": "a socket has failed", "exception": OSError("gone")})
        handler({"message": "a task was destroyed"})

    assert {record.name for record in caplog.records} == {"asyncio"}


async def test_a_thread_that_raises_anything_is_heard() -> None:
    """Also what asyncio would wait for for ever."""
    with lasting(), pytest.raises(RuntimeError):
        async with asyncio.timeout(SOON_S):
            await asyncio.to_thread(stop)


async def test_a_job_without_which_there_is_no_box_ends_it_in_one_sentence() -> None:
    """Not in a trace of groups within groups."""

    async def heart() -> None:
        raise ZeroDivisionError

    async def desk() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("heart", heart, tries=1), name="heart")
            await asyncio.get_running_loop().create_future()

    with pytest.raises(JobFailed, match="heart: failed 1 times"), lasting():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(desk(), name="desk")


async def test_other_exceptions_stay_what_they_are() -> None:
    """A start that fails says why, and a bug shows its trace."""
    with pytest.raises(StartupError, match="taken"), lasting():
        raise StartupError("taken")
    with pytest.raises(ExceptionGroup), lasting():
        raise ExceptionGroup("both", [StartupError("taken"), ValueError()])


async def test_what_is_run_once_fails_once(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the welcome does not end the box."""
    begun = 0

    async def welcome() -> None:
        nonlocal begun
        begun += 1
        raise RuntimeError

    await once("welcome", welcome)

    assert begun == 1
    assert "welcome: an unexpected error" in caplog.text


async def test_a_welcome_that_cannot_be_written_is_an_end() -> None:
    """As of every command whose output goes nowhere, such as `inglenook up | head`."""

    async def welcome() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await once("welcome", welcome)
