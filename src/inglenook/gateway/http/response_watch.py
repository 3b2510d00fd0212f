"""Waiting for a response over HTTP, until it ends or the box does. Kind: hands."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from aiohttp import web

from inglenook.common.errors import Code, Problem
from inglenook.serving.response import Response


class Waiters:
    """The requests that wait for a response here; all are woken when the box shuts down."""

    def __init__(self) -> None:
        self.stopping = False
        self.waiting: set[asyncio.Event] = set()

    async def stop(self, _app: web.Application) -> None:
        """Let none wait any longer."""
        self.stopping = True
        for changed in self.waiting:
            changed.set()


WAITERS: Final = web.AppKey("waiters", Waiters)


class ResponseWatch:
    """Waits for changes of a response, as its reader, while it is open."""

    def __init__(self, response: Response, waiters: Waiters) -> None:
        self.response = response
        self._waiters = waiters
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        self.response.subscribe(self._changed.set)
        self._waiters.waiting.add(self._changed)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._waiters.waiting.discard(self._changed)
        self.response.unsubscribe(self._changed.set, asyncio.get_running_loop().time())

    async def over(self, until: float) -> bool:
        """Wait for the end, at most until a moment on the loop's clock; whether it was reached."""
        while not self.response.status.over:
            if not await self.news(until):
                return False
        return True

    async def news(self, until: float) -> bool:
        """Wait for a change, at most until a moment on the loop's clock; whether there was one.

        Raises:
            Problem: `Code.SHUTTING_DOWN` if the box stops before the response has ended.
        """
        if self._waiters.stopping and not self.response.status.over:
            raise Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True
