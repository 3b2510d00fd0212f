"""A box that sleeps gives back what it can, and whoever comes in whatever moment is answered."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from inglenook.common.network_cards import parse_mac
from inglenook.engine.interface import EnginePhase
from inglenook.power.idle import SleepLevel
from inglenook.power.magic import magic_packet
from inglenook.power.settings import ASLEEP_NAME, PowerSettings
from inglenook.serving.response import Response
from tests.daemon.conftest import NOBODY, MakeBed
from tests.parts.board import MEMINFO

NEVER = PowerSettings(unload_after_s=0)
SOON = PowerSettings(unload_after_s=0.1)
AN_HOUR = PowerSettings(unload_after_s=3600)

HELD = replace(NOBODY, held=True)
WAS_ASLEEP = replace(NOBODY, asleep=True)


def over(response: Response) -> bool:
    return response.status.over


async def test_the_model_leaves_and_is_back_for_a_question(make_bed: MakeBed) -> None:
    """Again and again."""
    bed = make_bed(SOON)
    async with bed.slept_in():
        for _night in range(2):
            await bed.until(lambda: bed.phase is EnginePhase.UNLOADED)
            assert (bed.governing.asleep, bed.resting.stage) == (True, "unloaded")
            answer = bed.ask()
            assert bed.resting.stage == "busy"
            await bed.until(partial(over, answer))

    assert bed.engine.supervisor.pid is None


@pytest.mark.parametrize("governed", [True, False])
async def test_a_question_in_the_moment_the_model_leaves_is_answered(
    make_bed: MakeBed, governed: bool
) -> None:
    """It had been given to the engine that is about to end; it goes to the next."""
    asked: list[Response] = []
    bed = make_bed(SOON, governed=governed)

    def ask(level: SleepLevel) -> None:
        if level is SleepLevel.UNLOADED and bed.phase is EnginePhase.READY and not asked:
            asyncio.get_running_loop().call_soon(lambda: asked.append(bed.ask()))

    bed.on_level = ask
    async with bed.slept_in():
        await bed.until(lambda: asked and over(asked[0]))

    assert asked[0].status == "completed"


async def test_a_model_that_is_never_to_leave_stays(make_bed: MakeBed) -> None:
    """However long nobody comes."""
    bed = make_bed(NEVER)
    async with bed.slept_in():
        await bed.engine.until(EnginePhase.READY)
        await asyncio.sleep(0.05)

        assert (bed.phase, bed.levels) == (EnginePhase.READY, [])


async def test_who_comes_in_before_all_runs_is_waited_for(make_bed: MakeBed) -> None:
    """The connection that had the process started may be through the door at once."""
    bed = make_bed(AN_HOUR)
    bed.resting.begin(WAS_ASLEEP)
    assert bed.levels == [SleepLevel.UNLOADED]
    bed.resting.sleeper.use()
    async with bed.running(WAS_ASLEEP):
        await bed.engine.until(EnginePhase.READY)

    assert bed.levels == [SleepLevel.UNLOADED, SleepLevel.IDLE]


async def test_a_box_started_for_nobody_starts_no_engine(make_bed: MakeBed) -> None:
    """Not for a moment."""
    bed = make_bed(AN_HOUR)
    async with bed.slept_in(WAS_ASLEEP):
        await bed.engine.until(EnginePhase.UNLOADED)
        await asyncio.sleep(0.05)

    assert EnginePhase.LOADING not in bed.engine.phases


async def test_an_engine_that_dies_again_and_again_is_left_alone_in_the_end(
    make_bed: MakeBed,
) -> None:
    """Trying is no use; a question has it tried again."""
    bed = make_bed(NEVER, ["exits 3"] * 500)
    async with bed.slept_in():
        await bed.until(lambda: len(bed.engine.slept_s) > 1)
        bed.resting.take_up(PowerSettings(unload_after_s=0.3))
        await bed.until(lambda: bed.phase is EnginePhase.UNLOADED)
        deaths = len(bed.engine.slept_s)
        await asyncio.sleep(0.05)

        assert len(bed.engine.slept_s) == deaths

        bed.ask()
        await bed.until(lambda: len(bed.engine.slept_s) > deaths)


async def test_a_missing_model_is_not_called_asleep(make_bed: MakeBed) -> None:
    """Its owner must hear of it; once it is there it waits for somebody to need it."""
    bed = make_bed(SOON)
    bed.engine.missing = "no such file"
    async with bed.slept_in():
        await bed.until(lambda: SleepLevel.UNLOADED in bed.levels)
        await asyncio.sleep(0.05)

        assert (bed.phase, bed.resting.stage) == (EnginePhase.MISSING, "idle")

        bed.engine.missing = None
        await bed.until(lambda: bed.phase is EnginePhase.UNLOADED)

        assert bed.governing.asleep
        assert EnginePhase.READY not in bed.engine.phases


@pytest.mark.slow
async def test_a_model_without_room_that_nobody_needs_stays_away(make_bed: MakeBed) -> None:
    """When there is room again, too; then the first question has it loaded."""
    bed = make_bed(PowerSettings(unload_after_s=0.2))
    async with bed.slept_in():
        await bed.engine.until(EnginePhase.READY)
        bed.board.memory(MemAvailable=10 * 1024)
        await bed.until(lambda: bed.phase is EnginePhase.UNLOADED)
        await bed.until(lambda: SleepLevel.UNLOADED in bed.levels)
        await bed.until(lambda: bed.desk.refusal is not None)
        bed.board.write("proc/meminfo", MEMINFO.rstrip())
        await bed.until(lambda: bed.desk.refusal is None)

        assert bed.phase is EnginePhase.UNLOADED

        answer = bed.ask()
        await bed.until(partial(over, answer))


async def test_the_process_ends_when_it_is_not_needed(make_bed: MakeBed) -> None:
    """And says why in the state folder; a pairing window holds it up."""
    bed = make_bed(PowerSettings(unload_after_s=0, stop_after_s=0.1))
    async with bed.slept_in(HELD):
        window = bed.door.open()
        await asyncio.sleep(0.2)
        assert not bed.ended.is_set()

        bed.resting.sleeper.settings = PowerSettings(unload_after_s=0.01, stop_after_s=0.05)
        await bed.door.pair({"code": window.shown_code, "device_name": "Phone"})
        await bed.until(bed.ended.is_set)

    assert (bed.folder / "state" / ASLEEP_NAME).exists()


async def test_who_comes_in_at_the_last_moment_finds_the_process(make_bed: MakeBed) -> None:
    """What was said in the state folder is taken back."""
    bed = make_bed(PowerSettings(unload_after_s=0, stop_after_s=0.1))
    marker = bed.folder / "state" / ASLEEP_NAME
    # Said already: that it is gone can only be because it was taken back.
    marker.touch()

    def come_in(level: SleepLevel) -> None:
        if level is SleepLevel.STOPPED:
            asyncio.get_running_loop().call_soon(lambda: bed.resting.take_up(AN_HOUR))

    bed.on_level = come_in
    async with bed.slept_in(HELD):
        await bed.until(lambda: bed.levels[-2:] == [SleepLevel.STOPPED, SleepLevel.IDLE])
        await bed.until(lambda: not marker.exists())

        assert not bed.ended.is_set()


async def test_a_process_that_could_not_say_that_it_sleeps_stays(
    make_bed: MakeBed, caplog: pytest.LogCaptureFixture
) -> None:
    """Without that nobody would announce the box."""
    bed = make_bed(PowerSettings(unload_after_s=0.05, stop_after_s=0.1))
    shutil.rmtree(bed.folder / "state")
    with caplog.at_level(logging.WARNING):
        async with bed.slept_in(HELD):
            await bed.until(
                lambda: (SleepLevel.STOPPED, SleepLevel.UNLOADED) in pairwise(bed.levels)
            )

    assert not bed.ended.is_set()
    assert "the process stays for now, as " in caplog.text
    assert "No such file" in caplog.text


async def test_a_call_has_the_model_loaded(make_bed: MakeBed) -> None:
    """By a packet for one of the box's cards, at the port for that."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind(("127.0.0.1", 0))
    where = ear.getsockname()
    bed = make_bed(AN_HOUR)
    ways = replace(WAS_ASLEEP, wake_socket=ear, macs=("aa:bb:cc:dd:ee:ff",))
    async with bed.slept_in(ways):
        await bed.engine.until(EnginePhase.UNLOADED)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.sendto(magic_packet(parse_mac("aa:bb:cc:dd:ee:ff")), where)
        await bed.engine.until(EnginePhase.READY)


async def test_suspend_that_was_never_tested_is_named(
    make_bed: MakeBed, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, and when it is set later."""
    bed = make_bed(replace(AN_HOUR, suspend_after_s=60))
    with caplog.at_level(logging.WARNING):
        async with bed.slept_in():
            await bed.until(lambda: "power.suspend_after has no effect" in caplog.text)
            caplog.clear()
            bed.resting.take_up(replace(AN_HOUR, suspend_after_s=90))

    assert "doctor --suspend-test" in caplog.text
