"""What the governor's place does beside governing: letting the model rest, and pausing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import structs

from inglenook.config import Config
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import Limits, LoadModel
from inglenook.engine.supervisor import Supervisor
from inglenook.governor.monitor import SampleIntervals
from inglenook.governor.settings import GovernorSettings
from inglenook.power.settings import PowerSettings
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from tests.daemon.conftest import MakeBed
from tests.parts.board import virtual_machine

AWAKE = PowerSettings(unload_after_s=0)

_LOAD = LoadModel("model.gguf", "{{ messages }}", 4096, "f16", 8, None, 0.2)

_DEADLINE_S = 20.0


async def test_a_model_at_rest_is_back_when_it_is_wanted(make_bed: MakeBed) -> None:
    """Also if that is said again, or taken back at once."""
    bed = make_bed(AWAKE)
    async with bed.slept_in():
        await bed.engine.until(EnginePhase.READY)
        for resting in (True, True):
            bed.governing.rest(resting)
        await bed.engine.until(EnginePhase.UNLOADED)

        assert (bed.governing.asleep, bed.governing.mdns_status()) == (True, "sleep")

        for resting in (False, True, False):
            bed.governing.rest(resting)
        await bed.engine.until(EnginePhase.READY, times=2)

        assert (bed.governing.asleep, bed.governing.mdns_status()) == (False, "ready")


async def test_a_pause_lasts_until_it_is_said_to_be_over(tmp_path: Path) -> None:
    """Whatever is decided meanwhile; it is never the governor's own word that is lost."""
    supervisor = Told()
    root = virtual_machine(tmp_path / "board").root
    config = Config("Kitchen", tmp_path, governor=GovernorSettings(root=root))
    desk = Dispatcher(config.serving, Recorder(None), on_change=nothing)
    desk.engines.add(supervisor, max_active=8)
    governing = GovernorBridge(config, supervisor, desk, nothing, SampleIntervals(every_s=0.01))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(governing.run(), name="governor")
        governing.pause(True)
        await supervisor.told_times(3)
        governing.pause(False)
        governing.engine_changed()
        governing.pause(True)
        governing.pause(False)
        run.cancel()

    assert [limits.duty for limits in supervisor.told] == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]


async def test_answers_are_as_many_as_the_model_was_loaded_for(tmp_path: Path) -> None:
    """Fewer than the settings say, where each takes memory; the next model may have more."""
    news = asyncio.Event()
    root = virtual_machine(tmp_path / "board").root
    config = Config("Kitchen", tmp_path, governor=GovernorSettings(root=root))
    engine = Told()
    desk = Dispatcher(config.serving, Recorder(None), on_change=nothing)
    desk.engines.add(engine, max_active=8)
    governing = GovernorBridge(config, engine, desk, news.set, SampleIntervals(every_s=0.01))

    async def until_at_once(answers: int) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while desk.load.max_active != answers:
                news.clear()
                await news.wait()

    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(governing.run(), name="governor")
        await until_at_once(8)
        for answers in (2, 8):
            governing.loads(structs.replace(_LOAD, sequences=answers))
            await until_at_once(answers)
        run.cancel()


class Told(Supervisor):
    """A supervisor without an engine, and what it was told."""

    def __init__(self) -> None:
        super().__init__(no_model, lambda _state: None)
        self.told: list[Limits] = []
        self._news = asyncio.Event()

    def limit(self, limits: Limits) -> None:
        self.told.append(limits)
        self._news.set()

    async def told_times(self, times: int) -> None:
        while len(self.told) < times:
            self._news.clear()
            await self._news.wait()


async def no_model() -> tuple[str, LoadModel]:
    raise AssertionError("it is never run")


def nothing() -> None:
    pass
