"""Keeps what is new on disk, and only then lets readers see it. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from inglenook.serving.job import Job
from inglenook.serving.journal import Opening
from inglenook.serving.recorder import Recorder
from inglenook.serving.shelf import Shelf

#: Shortest time between two frames of one response: 20 a second read as a stream. More cost: each
#: round of frames takes a millisecond and more, on cores whose every other millisecond computes.
_FRAME_S = 1 / 20

#: What comes so little too early is shown at once: the engine tells about as often, and waking up
#: once for both takes less from it than waking up twice.
_EARLY_S = _FRAME_S / 5


class Publisher:
    """What happened to responses, on its way to the disk and to their readers."""

    def __init__(self, recorder: Recorder, shelf: Shelf, now: Callable[[], float]) -> None:
        """Write to ``recorder`` what is told here, and then show it on ``shelf``."""
        self._recorder = recorder
        self._shelf = shelf
        self._now = now
        self._openings: list[Opening] = []
        self._with_news: dict[Job, None] = {}
        self._dropped: list[str] = []
        self._purge = False
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._closed = False
        self._published_at = -math.inf

    def opening(self, opening: Opening) -> None:
        """There is a new response."""
        self._openings.append(opening)
        self._wake.set()

    def news(self, job: Job) -> None:
        """A job has something to take."""
        self._with_news[job] = None
        self._wake.set()
        if job.ending is not None:
            self._urgent.set()

    def dropped(self, response_id: str) -> None:
        """A response is kept no longer."""
        self._dropped.append(response_id)
        self._wake.set()

    def purge(self) -> None:
        """What was dropped must not be found on the disk any more."""
        self._purge = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until `stop`: after a pause and at an end at once, else a frame each 50 ms."""
        while not self._closed:
            await self._wake.wait()
            early_s = self._published_at + _FRAME_S - self._now()
            if early_s > _EARLY_S:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(early_s):
                        await self._urgent.wait()
            self._wake.clear()
            self._urgent.clear()
            self._published_at = self._now()
            await self._publish()
        await self._publish()

    def stop(self) -> None:
        """End `run` soon, once what was told until then is published."""
        self._closed = True
        self._wake.set()
        self._urgent.set()

    async def _publish(self) -> None:
        openings, self._openings = self._openings, []
        with_news, self._with_news = self._with_news, {}
        told = [(job.response, job.take_change()) for job in with_news]
        changes = [(response, change) for response, change in told if change is not None]
        if openings or changes:
            await self._recorder.write(openings, [change for _response, change in changes])
        for opening in openings:
            opened = self._shelf.get(opening.response_id)
            if opened is not None:
                opened.open()
        for response, change in changes:
            response.apply(change, self._now())
        dropped, self._dropped = self._dropped, []
        purge, self._purge = self._purge, False
        if dropped or purge:
            await self._recorder.forget(dropped, purge=purge)
