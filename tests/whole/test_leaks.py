"""Coming and going costs the box nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from tests.parts.box import Box
from tests.parts.phone import connected, knocking, long_chat


def held(box: Box) -> tuple[int, int]:
    """Open files and threads of the daemon."""
    process = Path(f"/proc/{box.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


async def come_and_go(box: Box, token: str, times: int) -> None:
    """Every way to leave: goodbye, in the middle of an answer, without a word, unknown."""
    for number in range(times):
        async with connected(box.url, token) as phone:
            match number % 5:
                case 0:
                    await phone.ask(long_chat(1))
                case 1:
                    answer = await phone.begin(long_chat(50))
                    await phone.cancel(answer)
                case 2:
                    phone.socket.transport.abort()
                case _:
                    pass
        async with knocking(box.url) as stranger:
            await stranger.authenticate("nobody")
        box.http("GET", "/v1/state", token=token)


async def test_fifty_visits_leave_nothing_behind(box: Box, token: str) -> None:
    """Files and threads are back where they were, and memory hardly grows."""
    await come_and_go(box, token, 10)
    await asyncio.to_thread(box.wait, lambda: idle(box, token), "answers never ended", 20)
    files, threads = held(box)
    memory_bytes = psutil.Process(box.pid).memory_info().rss

    await come_and_go(box, token, 50)
    await asyncio.to_thread(box.wait, lambda: idle(box, token), "answers never ended", 20)
    await asyncio.to_thread(box.wait, lambda: held(box)[0] <= files, "files leak", 10)

    assert held(box)[1] <= threads + 2
    assert psutil.Process(box.pid).memory_info().rss - memory_bytes < 5_000_000


def idle(box: Box, token: str) -> bool:
    state = box.http("GET", "/v1/state", token=token).json()
    return (state["active"], state["queued"]) == (0, 0)
