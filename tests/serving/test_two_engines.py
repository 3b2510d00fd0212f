"""Two real engines with a model each behind one dispatcher, and two real phones."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.orders import Limits, LoadModel
from inglenook.engine.supervisor import Supervisor
from inglenook.gateway.http.app import make_app
from inglenook.gateway.listen import serve
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.models.inspect import inspect_model
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.engine_registry import EngineRegistry
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response_parts import Outcome, Status
from inglenook.serving.settings import ServingSettings
from tests.gateway.conftest import gateway
from tests.parts.phone import Phone, chat, connected, long_chat
from tests.parts.starter import CAPITAL, PARIS

#: Its profile is found by this name.
STARTER = "SmolLM2-135M-Instruct"

pytestmark = pytest.mark.slow

#: Both models load in seconds; a busy machine takes its time.
_SOON_S = 60.0


@dataclass
class House:
    """Two engines, starter and other, behind one gateway.

    Attributes:
        ends: Tokens of each answer, in the order in which they ended.
        states: Every state of each engine.
    """

    ends: list[int] = field(default_factory=list)
    states: dict[str, list[EngineState]] = field(default_factory=dict)
    engines: dict[str, Supervisor] = field(default_factory=dict)
    phones: list[Phone] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.news = asyncio.Event()

    def over(self, _status: Status, outcome: Outcome) -> None:
        self.ends.append(outcome.completion_tokens)

    def pid(self, name: str) -> int:
        """Process id of an engine, which must run."""
        pid = self.engines[name].pid
        assert pid is not None
        return pid

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a state of an engine."""
        async with asyncio.timeout(_SOON_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


def _prepare(path: Path, name: str) -> Callable[[], Awaitable[tuple[str, LoadModel]]]:
    async def prepare() -> tuple[str, LoadModel]:
        info = await asyncio.to_thread(inspect_model, path)
        return name, LoadModel(str(info.path), info.chat_template, 2048, "f16", 4, 1, 0.2)

    return prepare


@asynccontextmanager
async def two_engines(
    models: dict[str, Path], folder: Path
) -> AsyncIterator[tuple[House, EngineRegistry]]:
    """Both ready, and two phones connected."""
    house = House()
    recorder = Recorder(Journal(folder / "journal.db"))
    desk = Dispatcher(ServingSettings(), recorder, on_change=house.news.set, on_over=house.over)
    for name, path in models.items():

        def changed(state: EngineState, name: str = name) -> None:
            house.states.setdefault(name, []).append(state)
            desk.engine_changed(state)
            house.news.set()

        engine = Supervisor(_prepare(path, name), changed, model=name)
        house.engines[name] = engine
        desk.engines.add(engine, max_active=4)
    allowlist = Allowlist(folder / "devices.json")
    tokens = [
        (await asyncio.to_thread(allowlist.add, name, (Scope.CHAT,)))[1] for name in ("Ada", "Ben")
    ]
    await desk.restore(lambda _device_id: True)
    door = socket.create_server(("127.0.0.1", 0))
    context = gateway(next(iter(house.engines.values())), desk, allowlist)
    runner = await serve(make_app(context, PhoneConnections(lambda: None), {}), [door], [], None)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run(), name="desk")
        running = [tasks.create_task(engine.run()) for engine in house.engines.values()]
        try:
            await house.until(lambda: all(handle.ready for handle in desk.engines))
            async with connected(url, tokens[0]) as ada, connected(url, tokens[1]) as ben:
                house.phones = [ada, ben]
                yield house, desk.engines
        finally:
            await runner.cleanup()
            desk.stop()
            for task in running:
                task.cancel()


@pytest.mark.slow
async def test_one_engine_dies_and_the_phone_at_the_other_does_not_notice(
    starter_model: Path, random_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """Two phones, two models, at the same time; the answer of the dead one goes on later."""
    models = {STARTER: starter_model, "other": await asyncio.to_thread(random_model, "qwen2")}
    async with two_engines(models, tmp_path) as (house, _engines):
        ada, ben = house.phones
        paris = await ben.ask(chat(CAPITAL, model=STARTER))
        cut = await ada.begin(long_chat(1000, model="other"))
        # It computes no further, so that it dies in the middle of its answer.
        house.engines["other"].limit(Limits(duty=0.0))
        whole = await ben.begin(long_chat(60, model=STARTER))
        dead, alive = house.pid("other"), house.pid(STARTER)
        states_before = len(house.states[STARTER])
        os.kill(dead, signal.SIGKILL)
        await house.until(lambda: house.states["other"][-1].phase is EnginePhase.RESTARTING)
        house.engines["other"].limit(Limits())
        await ben.finish(whole)
        seen_by_ben = house.states[STARTER][states_before:]
        await ada.finish(cut)
        assert house.pid(STARTER) == alive
        assert house.pid("other") != dead

    assert paris.text == PARIS
    assert paris.created is not None
    assert (paris.created["model"], cut.created and cut.created["model"]) == (STARTER, "other")
    assert seen_by_ben == []
    for answer, tokens in ((whole, 60), (cut, 1000)):
        assert answer.done is not None
        assert answer.done["status"] == "incomplete"
        assert answer.done["usage"]["completion_tokens"] == tokens
    assert cut.deltas, "it goes on where it was; `Answer` sees that nothing is told twice"


@pytest.mark.slow
async def test_what_a_device_got_from_one_engine_counts_at_the_other(
    starter_model: Path, random_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """With one place for both: who has had nothing comes next, though the other has asked first."""
    models = {STARTER: starter_model, "other": await asyncio.to_thread(random_model, "qwen2")}
    async with two_engines(models, tmp_path) as (house, engines):
        ada, ben = house.phones
        engines.limit(ServingLimits(1))
        first = await ada.begin(long_chat(50, model=STARTER))
        second = await ada.generate(long_chat(6, model="other"))
        third = await ada.generate(long_chat(7, model=STARTER))
        await ada.until("response.queued")
        bens = await ben.ask(long_chat(8, model="other"))
        await ada.finish(first, second, third)

    assert house.ends[:2] == [50, 8]
    assert sorted(house.ends[2:]) == [6, 7]
    assert bens.done is not None
