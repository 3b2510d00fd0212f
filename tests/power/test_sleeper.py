"""The idle rule with a clock: told in time, and at once where somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from inglenook.power.idle import Abilities, Activity, Level
from inglenook.power.settings import AwakeHours, PowerSettings
from inglenook.power.sleeper import Sleeper, minute_of_day

WITHIN_S = 5.0


class House:
    """What goes on, and what was told."""

    def __init__(self, settings: PowerSettings) -> None:
        self.activity = Activity()
        self.told: list[Level] = []
        self._news = asyncio.Event()
        self.sleeper = Sleeper(settings, lambda: self.activity, self._hear)

    def _hear(self, level: Level) -> None:
        self.told.append(level)
        self._news.set()

    async def wait_told(self, level: Level) -> None:
        async with asyncio.timeout(WITHIN_S):
            while level not in self.told:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def a_house(settings: PowerSettings) -> AsyncIterator[House]:
    house = House(settings)
    async with asyncio.TaskGroup() as tasks:
        house.sleeper.begin()
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        try:
            yield house
        finally:
            run.cancel()


async def test_it_tells_of_every_level_in_time() -> None:
    """With nobody doing anything."""
    settings = PowerSettings(unload_after_s=0.02, stop_after_s=0.04, suspend_after_s=0.06)
    async with a_house(settings) as house:
        house.sleeper.abilities = Abilities(stop=True, suspend=True)
        await house.wait_told(Level.SUSPENDED)

        assert house.told == [Level.UNLOADED, Level.STOPPED, Level.SUSPENDED]


async def test_use_and_calls_wake_it_at_once() -> None:
    """Before the call returns: whoever came in waits for the model."""
    for wake in (Sleeper.use, Sleeper.wake):
        async with a_house(PowerSettings(unload_after_s=0.01)) as house:
            await house.wait_told(Level.UNLOADED)
            house.told.clear()
            wake(house.sleeper)

            assert house.told == [Level.IDLE]


async def test_an_answer_keeps_it_awake_until_it_ends() -> None:
    """However long it takes; then the time begins."""
    async with a_house(PowerSettings(unload_after_s=0.01)) as house:
        house.activity = Activity(answers=1)
        house.sleeper.changed()
        await asyncio.sleep(0.03)

        assert house.told == [Level.BUSY]

        house.activity = Activity()
        house.sleeper.changed()
        await house.wait_told(Level.UNLOADED)

        assert house.told == [Level.BUSY, Level.IDLE, Level.UNLOADED]


async def test_the_time_begins_when_an_answer_has_ended_not_when_that_was_last_looked_at() -> None:
    """Between two looks lies up to a minute."""
    async with a_house(PowerSettings(unload_after_s=0.2)) as house:
        house.activity = Activity(answers=1)
        house.sleeper.changed()
        await asyncio.sleep(0.15)
        house.activity = Activity()
        house.sleeper.changed()
        ended_s = asyncio.get_running_loop().time()
        await house.wait_told(Level.UNLOADED)

        assert asyncio.get_running_loop().time() - ended_s >= 0.19


async def test_a_box_that_was_asleep_stays_so_until_somebody_comes() -> None:
    """What started its process may have been nobody."""
    house = House(PowerSettings(unload_after_s=3600))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        house.sleeper.begin(asleep=True)

        assert house.told == [Level.UNLOADED]

        house.sleeper.use()
        run.cancel()

    assert house.told == [Level.UNLOADED, Level.IDLE]


async def test_a_box_that_was_asleep_is_awake_in_the_hours_for_that() -> None:
    """Then its model is loaded at once, for whoever comes."""
    house = House(PowerSettings(unload_after_s=3600, awake_hours=AwakeHours(0, 60)))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        house.sleeper.begin(asleep=True)
        await asyncio.sleep(0)
        run.cancel()

    assert (house.told, house.sleeper.level) == ([], Level.IDLE)


async def test_new_settings_count_at_once() -> None:
    """A shorter time may be over already."""
    async with a_house(PowerSettings(unload_after_s=3600)) as house:
        await asyncio.sleep(0.02)
        house.sleeper.settings = PowerSettings(unload_after_s=0.01)
        house.sleeper.changed()

        assert house.told == [Level.UNLOADED]


async def test_nothing_is_told_before_it_runs_or_after() -> None:
    """Its callers need not know."""
    house = House(PowerSettings(unload_after_s=0.01))
    house.sleeper.use()
    house.sleeper.changed()
    async with asyncio.TaskGroup() as tasks:
        house.sleeper.begin()
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        await asyncio.sleep(0)
        run.cancel()
    house.activity = Activity(answers=1)
    house.sleeper.wake()

    assert (house.told, house.sleeper.level) == ([], Level.IDLE)


def test_the_minute_is_one_of_a_day() -> None:
    """By whatever time zone the machine is in."""
    assert minute_of_day() in range(24 * 60)
