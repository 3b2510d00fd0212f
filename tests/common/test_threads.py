"""Whatever a thread raises, whoever waits for it hears of it."""

from __future__ import annotations

import asyncio

import pytest

from inglenook.common.threads import Threads

SOON_S = 20.0


def throw(kind: type[BaseException]) -> None:
    raise kind


@pytest.mark.parametrize(
    ("thrown", "raised"),
    [(ValueError, ValueError), (OSError, OSError), (StopIteration, RuntimeError)],
)
async def test_what_is_raised_reaches_whoever_waits(
    thrown: type[Exception], raised: type[Exception]
) -> None:
    """Of a StopIteration asyncio would make nothing at all before Python 3.12."""
    loop = asyncio.get_running_loop()
    with Threads(1) as threads, pytest.raises(raised):
        async with asyncio.timeout(SOON_S):
            await loop.run_in_executor(threads, throw, thrown)


async def test_what_is_returned_is_returned() -> None:
    """With its arguments."""
    loop = asyncio.get_running_loop()
    with Threads(1) as threads:
        assert await loop.run_in_executor(threads, divmod, 7, 2) == (3, 1)
