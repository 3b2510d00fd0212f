"""Work that is finished even if its client hangs up. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


async def complete(work: Awaitable[_T]) -> _T:
    """Run ``work`` to its end even if the caller is cancelled, as a handler is by a hang-up.

    For what must not be left half done: a device that is in the list has to close its pairing
    window, a purge has to reach memory as well as the disk. It must be short: the caller waits.

    Raises:
        asyncio.CancelledError: If the caller was cancelled; ``work`` is over by then.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251  its parent is the caller, which stays
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            # Cancelled once more, as at the end of the program, it is still nearly done.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # Retrieved here, because no caller does, and asyncio would report it.
        task.exception()
        raise
