"""The idle rule with a clock: told in time, and at once where somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inglenook.power.idle import Abilities, Activity, SleepLevel
from inglenook.power.settings import AwakeHours, PowerSettings
from inglenook.power.sleep_controller import SleepController, minute_of_day


class Clock:
    """The loop's clock, which stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    async def go_on(self, duration_s: float) -> None:
        """Let time pass, and what is due by then be done."""
        self.now_s += duration_s
        # In one turn the loop sees what is due, in the next it does it.
        for _turn in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time as the sleeper knows it."""
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    return clock


class House:
    """What goes on, and what was told."""

    def __init__(self, settings: PowerSettings) -> None:
        self.activity = Activity()
        self.told: list[SleepLevel] = []
        self.sleeper = SleepController(settings, lambda: self.activity, self.told.append)


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


async def test_it_tells_of_every_level_in_time(clock: Clock) -> None:
    """With nobody doing anything; and not before."""
    settings = PowerSettings(unload_after_s=100, stop_after_s=200, suspend_after_s=300)
    levels = [SleepLevel.UNLOADED, SleepLevel.STOPPED, SleepLevel.SUSPENDED]
    async with a_house(settings) as house:
        house.sleeper.abilities = Abilities(stop=True, suspend=True)
        for count in range(len(levels)):
            await clock.go_on(99)
            assert house.told == levels[:count]
            await clock.go_on(1)
            assert house.told == levels[: count + 1]


async def test_a_board_that_could_not_be_suspended_is_tried_again(clock: Clock) -> None:
    """After as long a rest as before, as often as it takes."""
    async with a_house(PowerSettings(unload_after_s=10, suspend_after_s=100)) as house:
        house.sleeper.abilities = Abilities(suspend=True)
        await clock.go_on(100)
        house.sleeper.refused(SleepLevel.SUSPENDED)
        await clock.go_on(99)
        assert house.told == [SleepLevel.SUSPENDED, SleepLevel.UNLOADED]
        await clock.go_on(1)
        assert house.told == [SleepLevel.SUSPENDED, SleepLevel.UNLOADED, SleepLevel.SUSPENDED]


async def test_use_and_calls_wake_it_at_once(clock: Clock) -> None:
    """Before the call returns: whoever came in waits for the model."""
    for wake in (SleepController.use, SleepController.wake):
        async with a_house(PowerSettings(unload_after_s=10)) as house:
            await clock.go_on(10)
            assert house.told == [SleepLevel.UNLOADED]
            wake(house.sleeper)

            assert house.told == [SleepLevel.UNLOADED, SleepLevel.IDLE]


async def test_an_answer_keeps_it_awake_until_it_ends(clock: Clock) -> None:
    """However long it takes; then the time begins."""
    async with a_house(PowerSettings(unload_after_s=10)) as house:
        house.activity = Activity(answers=1)
        house.sleeper.changed()
        await clock.go_on(3600)

        assert house.told == [SleepLevel.BUSY]

        house.activity = Activity()
        house.sleeper.changed()
        await clock.go_on(10)

        assert house.told == [SleepLevel.BUSY, SleepLevel.IDLE, SleepLevel.UNLOADED]


async def test_the_time_begins_when_an_answer_has_ended_not_when_that_was_last_looked_at(
    clock: Clock,
) -> None:
    """Between two looks lies up to a minute."""
    async with a_house(PowerSettings(unload_after_s=100)) as house:
        house.activity = Activity(answers=1)
        house.sleeper.changed()
        await clock.go_on(59)
        house.activity = Activity()
        house.sleeper.changed()
        await clock.go_on(99)

        assert house.told == [SleepLevel.BUSY, SleepLevel.IDLE]

        await clock.go_on(1)

        assert house.told[2:] == [SleepLevel.UNLOADED]


async def test_a_box_that_was_asleep_stays_so_until_somebody_comes() -> None:
    """What started its process may have been nobody."""
    house = House(PowerSettings(unload_after_s=3600))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        house.sleeper.begin(asleep=True)

        assert house.told == [SleepLevel.UNLOADED]

        house.sleeper.use()
        run.cancel()

    assert house.told == [SleepLevel.UNLOADED, SleepLevel.IDLE]


async def test_a_box_that_was_asleep_is_awake_in_the_hours_for_that() -> None:
    """Then its model is loaded at once, for whoever comes."""
    house = House(PowerSettings(unload_after_s=3600, awake_hours=AwakeHours(0, 60)))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        house.sleeper.begin(asleep=True)
        await asyncio.sleep(0)
        run.cancel()

    assert (house.told, house.sleeper.level) == ([], SleepLevel.IDLE)


async def test_new_settings_count_at_once(clock: Clock) -> None:
    """A shorter time may be over already."""
    async with a_house(PowerSettings(unload_after_s=3600)) as house:
        await clock.go_on(20)
        house.sleeper.settings = PowerSettings(unload_after_s=10)
        house.sleeper.changed()

        assert house.told == [SleepLevel.UNLOADED]


async def test_nothing_is_told_before_it_runs_or_after(clock: Clock) -> None:
    """Its callers need not know."""
    house = House(PowerSettings(unload_after_s=10))
    house.sleeper.use()
    house.sleeper.changed()
    async with asyncio.TaskGroup() as tasks:
        house.sleeper.begin()
        run = tasks.create_task(house.sleeper.run(), name="sleeper")
        await asyncio.sleep(0)
        run.cancel()
    house.activity = Activity(answers=1)
    house.sleeper.wake()
    await clock.go_on(3600)

    assert (house.told, house.sleeper.level) == ([], SleepLevel.IDLE)


def test_the_minute_is_one_of_a_day() -> None:
    """By whatever time zone the machine is in."""
    assert minute_of_day() in range(24 * 60)
