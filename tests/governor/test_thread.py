"""What is done in the thread is waited for or not, and keeps nobody from ending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from inglenook.governor.thread import driver_thread

SOON_S = 20.0


def fail(kind: type[BaseException]) -> None:
    raise kind


async def test_one_thing_is_done_after_the_other() -> None:
    """In the order they were begun."""
    done: list[int] = []
    with driver_thread() as begin:
        await asyncio.wait([begin(lambda n=n: done.append(n)) for n in range(20)])  # type: ignore[misc]

    assert done == list(range(20))


@pytest.mark.parametrize(
    ("thrown", "raised"),
    [(ValueError, ValueError), (StopIteration, RuntimeError), (SystemExit, SystemExit)],
)
async def test_what_is_raised_reaches_the_future_and_the_thread_lives(
    thrown: type[BaseException], raised: type[BaseException]
) -> None:
    """It used to end the thread, and whoever waited waited for ever."""
    with driver_thread() as begin:
        async with asyncio.timeout(SOON_S):
            failed = begin(lambda: fail(thrown))
            await asyncio.wait([failed])
            assert isinstance(failed.exception(), raised)
            assert await begin(lambda: 7) == 7


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    """It stands behind something that hangs."""
    free, done = threading.Event(), []
    with driver_thread() as begin:
        hanging = begin(free.wait)
        given_up = begin(lambda: done.append(1))
        given_up.cancel()
        await asyncio.sleep(0)  # the loop passes the cancellation on in its next turn
        free.set()
        assert await hanging
        await begin(lambda: None)

    assert done == []


def test_one_that_hangs_does_not_keep_the_program_from_ending() -> None:
    """As a thread of an executor would; nor does it complain when it is free at last."""
    program = (
        "import asyncio, threading\n"
        "from inglenook.governor.thread import driver_thread\n"
        "free = threading.Event()\n"
        "async def main():\n"
        "    with driver_thread() as begin:\n"
        "        await asyncio.wait([begin(free.wait)], timeout=0.05)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=SOON_S, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, b"")
