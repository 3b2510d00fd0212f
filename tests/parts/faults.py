"""A desk with the real engine in this process, and ways to break either."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from inglenook.engine.interface import EngineState
from inglenook.engine.orders import LoadModel
from inglenook.engine.supervisor import WORKER, Supervisor
from inglenook.engine.timeouts import Timeouts
from inglenook.models.inspect import inspect_model
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.response import Response
from inglenook.serving.settings import ServingSettings

#: The real engine; on SIGUSR1 it says to the daemon what no engine says.
BABBLING_WORKER = (
    sys.executable,
    "-c",
    "import os, runpy, signal, sys\n"
    "signal.signal(signal.SIGUSR1, lambda *_: os.write(int(sys.argv[1]), b'babble' * 20))\n"
    "runpy.run_module('inglenook.engine.worker', run_name='__main__')\n",
)

#: The model loads in a second; a busy machine takes its time.
_SOON_S = 40.0


@dataclass(frozen=True, slots=True)
class Room:
    """A desk and its engine."""

    desk: Dispatcher
    engine: Supervisor

    @property
    def engine_pid(self) -> int:
        """Process id of the engine, which must run."""
        assert self.engine.pid is not None
        return self.engine.pid


@asynccontextmanager
async def engine_room(
    model: Path,
    folder: Path,
    *,
    worker: Sequence[str] = WORKER,
    patience: Timeouts | None = None,
) -> AsyncIterator[Room]:
    """Run a desk with the real engine and a journal in ``folder`` until the end of the block."""
    info = await asyncio.to_thread(inspect_model, model)
    load = LoadModel(str(info.path), info.chat_template, 2048, "f16", 4, 1, 0.2)

    async def prepare() -> tuple[str, LoadModel]:
        return "tiny", load

    def changed(state: EngineState) -> None:
        desk.engine_changed(state)

    engine = Supervisor(
        prepare,
        changed,
        worker=worker,
        patience=patience or Timeouts(),
    )
    recorder = Recorder(Journal(folder / "journal.db"))
    desk = Dispatcher(ServingSettings(), recorder, on_change=lambda: None)
    desk.engines.add(engine, max_active=4)
    await desk.restore(lambda _device_id: True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run(), name="desk")
        running = tasks.create_task(engine.run(), name="engine")
        try:
            yield Room(desk, engine)
        finally:
            desk.stop()
            running.cancel()


async def read_until(response: Response, tokens_like: int) -> None:
    """Wait until a response has so many entries, or has ended."""
    news = asyncio.Event()
    response.subscribe(news.set)
    try:
        async with asyncio.timeout(_SOON_S):
            while response.last_seq < tokens_like and not response.status.over:
                await news.wait()
                news.clear()
    finally:
        response.unsubscribe(news.set, asyncio.get_running_loop().time())
