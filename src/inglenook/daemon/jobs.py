"""Runs the box's jobs until it is told to stop. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from inglenook.common.guarded import Guard
from inglenook.common.restarting import HEART_TRIES, keep_running
from inglenook.daemon.rooms import Rooms
from inglenook.daemon.uncaught import BackgroundJob, once

log = logging.getLogger(__name__)

_ending = Guard("ending")


async def run_jobs(
    rooms: Rooms,
    stop: asyncio.Event,
    jobs: Mapping[str, BackgroundJob],
    alongside: BackgroundJob | None,
) -> None:
    """Run the dispatcher, the engine and the other jobs; end them in order once ``stop`` is set.

    Args:
        rooms: The rooms, whose resources are open.
        stop: Set to end.
        jobs: By their names; each that fails is begun again.
        alongside: Runs beside them, once.
    """
    async with asyncio.TaskGroup() as tasks:
        dispatching = tasks.create_task(rooms.dispatcher.run(), name="desk")
        engine = keep_running("engine", rooms.supervisor.run, tries=HEART_TRIES)
        background = [
            tasks.create_task(engine, name="engine"),
            *(tasks.create_task(keep_running(*job), name=job[0]) for job in jobs.items()),
        ]
        if alongside is not None:
            welcome = once("welcome", alongside)
            background.append(tasks.create_task(welcome, name="welcome"))
        try:
            await stop.wait()
            log.info("stopping")
            with _ending:
                rooms.service.stopping()
        finally:
            _stop_dispatcher(rooms, dispatching)
            for task in background:
                task.cancel()
        await asyncio.wait([dispatching])
        # While the engine is still ending, too: what is slow must not add up.
        with _ending:
            rooms.phones.send_away()


def _stop_dispatcher(rooms: Rooms, dispatching: asyncio.Task[None]) -> None:
    with _ending:
        # It ends by itself, once the text shown is safe.
        rooms.dispatcher.stop()
        return
    # Unfinished answers are in the journal.
    dispatching.cancel()
