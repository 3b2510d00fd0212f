"""Several engines behind one dispatcher: whose request goes where, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inglenook.chat.messages import Message
from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import Capabilities, EnginePhase, ModelMemory
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response_parts import Status
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine
from tests.serving.test_dispatcher import until_over


def ask(model: str | None = None, *, schema: str | None = None) -> ChatRequest:
    return ChatRequest((Message("user", "Why?"),), model, schema=schema)


@asynccontextmanager
async def open_desk(*engines: FakeEngine, max_active: int = 4) -> AsyncIterator[Dispatcher]:
    """A dispatcher of these engines, at work until the end of the block."""
    desk = Dispatcher(ServingSettings(), Recorder(None), on_change=lambda: None)
    for engine in engines:
        desk.engines.add(engine, max_active=max_active)
        engine.on_change = desk.engine_changed
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run(), name="desk")
        try:
            yield desk
        finally:
            desk.stop()


@pytest.mark.parametrize(
    ("model", "asked"), [(None, "one"), ("two", "two"), ("TWO:latest", "two"), ("one", "one")]
)
async def test_a_request_goes_to_the_engine_of_its_model(model: str | None, asked: str) -> None:
    """Without a name, to the first."""
    engines = {name: FakeEngine(model=name) for name in ("one", "two")}
    async with open_desk(*engines.values()) as desk:
        desk.submit("ada", ask(model))
        assert [name for name, engine in engines.items() if engine.running] == [asked]


async def test_a_request_without_a_name_is_not_for_an_engine_without_a_model() -> None:
    """Such as one whose file is missing: the first serves it."""
    one, two = FakeEngine(model="one"), FakeEngine(model="")
    async with open_desk(one, two) as desk:
        desk.submit("ada", ask())
        assert one.running


async def test_a_model_that_no_engine_has_is_refused_by_the_names_there_are() -> None:
    async with open_desk(FakeEngine(model="one"), FakeEngine(model="two")) as desk:
        with pytest.raises(Problem, match="'one' and 'two'; leave 'model' out or name one") as said:
            desk.submit("ada", ask("three"))
    assert said.value.code is Code.MODEL_MISSING


async def test_service_by_one_engine_counts_at_the_other() -> None:
    """One clock: a device that was served by one is behind at the other."""
    one, two = FakeEngine(model="one"), FakeEngine(model="two")
    async with open_desk(one, two, max_active=1) as desk:
        desk.submit("cy", ask("two"))
        served = desk.submit("ada", ask("one"))
        one.step(30)
        await until_over(served)
        adas, bens = desk.submit("ada", ask("two")), desk.submit("ben", ask("two"))
        two.step(30)
        two.step(30)
        await until_over(bens)
        assert not adas.status.over


async def test_one_bound_counts_the_answers_of_all_engines() -> None:
    """The newest is preempted when it falls, and goes on when it rises."""
    one, two = FakeEngine(model="one"), FakeEngine(model="two")
    async with open_desk(one, two) as desk:
        first, second = desk.submit("ada", ask("one")), desk.submit("ben", ask("two"))
        assert desk.load.active == 2
        desk.limit(ServingLimits(1))
        assert (one.cancels, len(two.cancels)) == ([], 1)
        two.step()
        assert (desk.load.active, desk.load.queued, desk.load.max_active) == (1, 1, 1)
        one.step(30)
        two.step(30)
        await until_over(first, second)
    assert {first.status, second.status} == {Status.COMPLETED}


async def test_a_device_with_all_places_makes_way_for_one_at_another_engine() -> None:
    """As it does at a single engine."""
    one, two = FakeEngine(model="one"), FakeEngine(model="two")
    async with open_desk(one, two) as desk:
        desk.limit(ServingLimits(2))
        desk.submit("ada", ask("one"))
        desk.submit("ada", ask("one"))
        desk.submit("ben", ask("two"))
        assert len(one.cancels) == 1
        one.step()
        assert (len(one.running), len(two.running)) == (1, 1)


async def test_an_engine_that_dies_costs_only_its_own_jobs_a_wait() -> None:
    one, two = FakeEngine(model="one"), FakeEngine(model="two")
    async with open_desk(one, two) as desk:
        first, second = desk.submit("ada", ask("one")), desk.submit("ben", ask("two"))
        one.step(3)
        two.step(3)
        one.die()
        two.step(30)
        await until_over(second)
        [handle, _other] = desk.engines
        assert (handle.references, first.status.over) == (1, False)
        one.come_back()
        one.step(30)
        await until_over(first)
        assert handle.references == 0
    assert len(two.orders) == 1


async def test_what_an_engine_cannot_do_is_refused_or_not_tried() -> None:
    """Schemas, prefill ahead, and going on with an answer that another engine has begun."""
    engine = FakeEngine()
    engine.capabilities = Capabilities(resumes=False, schemas=False, prefill=False)
    async with open_desk(engine, max_active=2) as desk:
        with pytest.raises(Problem) as refused:
            desk.submit("ada", ask(schema="{}"))
        with pytest.raises(Problem) as busy:
            desk.prepare("ada", ask(), lambda: None)
        first, second = desk.submit("ada", ask()), desk.submit("ada", ask())
        desk.limit(ServingLimits(1))
        assert engine.cancels == []
        engine.step(3)
        engine.die()
        engine.come_back()
        await until_over(first, second)
    assert (refused.value.code, busy.value.code) == (Code.BAD_REQUEST, Code.BUSY)
    assert {first.status, second.status} == {Status.FAILED}


@pytest.mark.parametrize(
    ("phase", "held"),
    [
        (EnginePhase.LOADING, 100),
        (EnginePhase.RESTARTING, 100),
        (EnginePhase.READY, 60),
        (EnginePhase.UNLOADED, 0),
        (EnginePhase.MISSING, 0),
    ],
)
async def test_a_model_is_not_given_what_the_others_take(phase: EnginePhase, held: int) -> None:
    """What is mapped, or not taken yet, is still available by the kernel's count."""
    engine = FakeEngine(model="one")
    async with open_desk(engine, FakeEngine(model="two")) as desk:
        [one, two] = desk.engines
        one.memory = ModelMemory(total_bytes=100, mapped_bytes=60)
        engine.tell(phase)
        assert (desk.engines.held_bytes(but=two), desk.engines.held_bytes(but=one)) == (held, 0)
