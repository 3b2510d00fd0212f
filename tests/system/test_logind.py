"""Sleep and wake-up, said by python-dbusmock's logind on a real bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inglenook.cli.doctor.sleep import sleep_lines
from inglenook.common.errors import InglenookError
from inglenook.config import Config
from inglenook.governor.settings import GovernorSettings
from inglenook.power import bus as bus_module
from inglenook.power.bus import open_logind
from inglenook.power.logind import Logind
from inglenook.power.resume import ClockPair
from inglenook.power.suspend_test import Suspender, try_suspend
from tests.parts.logind import PYTHON, SystemBus, seat
from tests.parts.netns import missing

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

# A logind that was not there is looked for again after 1, 2, 4, 8 and 16 s.
SEEN_S = 40.0

# Longer than any test: what is kept has all the time it needs.
PATIENT = {"InhibitDelayMaxUSec": 240_000_000}

LOGGER = "inglenook.power.logind"

DELAY, IDLE, SLEEP = ("sleep", "delay"), ("idle", "block"), ("sleep", "block")


@pytest.fixture(scope="session", autouse=True)
def _dbusmock() -> None:
    """Fail, not skip: a test nobody notices is not run is no test."""
    fault = missing("dbus-daemon", "dbus-send", "systemd-inhibit", "setpriv", PYTHON)
    mock = subprocess.run([PYTHON, "-c", "import dbusmock"], capture_output=True, check=False)
    if fault or mock.returncode:
        pytest.fail(
            f"{fault or 'dbusmock is missing'}; run as root, with apt-get install"
            " dbus python3-dbusmock systemd util-linux"
        )


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemBus:
    """Give a system bus that everything in this process takes for the machine's."""
    bus = SystemBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    return bus


@pytest.fixture
def running_bus(bus: SystemBus) -> Iterator[SystemBus]:
    """Give one that runs."""
    with bus.running():
        yield bus


class Sleeper:
    """The box, as far as sleep concerns it: what was called, and a clock that jumps on demand."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.slept_s = 0.0
        self.awake_s = 0.0
        self.awake = asyncio.Event()
        self.awake.set()
        self.logind = Logind(self.on_sleep, self.on_resume, clocks=self.clocks, look_every_s=0.02)

    async def on_sleep(self) -> None:
        self.called.append("sleep begins")
        try:
            await self.awake.wait()
        except asyncio.CancelledError:
            self.called.append("sleep cut short")
            raise
        self.called.append("sleep ends")

    def on_resume(self) -> None:
        self.called.append("resume")

    def clocks(self) -> ClockPair:
        now = asyncio.get_running_loop().time() + self.awake_s
        return ClockPair(now + self.slept_s, now)


@contextlib.asynccontextmanager
async def sleeper() -> AsyncIterator[Sleeper]:
    """Run the box's part."""
    box = Sleeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(box.logind.run(), name="logind")
        yield box
        running.cancel()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(look: Callable[[], Awaitable[Any]], is_so: Any) -> None:
    """Wait until what is seen is as it should be."""
    seen = None
    try:
        async with asyncio.timeout(SEEN_S):
            while (seen := await look()) != is_so:  # noqa: ASYNC110 other processes' doing
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {SEEN_S} s: {is_so}; last seen {seen}")


async def until_called(box: Sleeper, *called: str) -> None:
    async def look() -> list[str]:
        return box.called

    await until(look, list(called))


async def until_quiet(box: Sleeper) -> None:
    """Wait until the box has been answered all that a lock it took makes it ask.

    Each answer may make it ask once more, and logind answers in the order it was asked.
    """
    for _ in range(5):
        assert await box.logind.can_suspend() == "yes"


@contextlib.contextmanager
def impatience() -> Iterator[None]:
    """Deadlines that pass soon, for calls that nobody answers; for others a stall would do it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus_module, "CALL_S", 0.2)
        yield


@contextlib.asynccontextmanager
async def others_lock(bus: SystemBus, what: str, mode: str) -> AsyncIterator[None]:
    """Have another program hold a lock: systemd's own."""
    command = ["systemd-inhibit", f"--what={what}", f"--mode={mode}", "--who=Backup"]
    process = await asyncio.create_subprocess_exec(
        *command, "--why=Copying photos", "sleep", "infinity", env=bus.environ()
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_a_delay_lock_is_held_always_and_block_locks_while_busy(
    running_bus: SystemBus,
) -> None:
    """Each lock's file is really closed when it is released: logind sees the end of its pipe."""
    files = open_files()
    with running_bus.logind():
        async with seat(running_bus.address) as other:
            async with sleeper() as box:
                await until(other.kinds, [DELAY])
                box.logind.busy = True
                await until(other.kinds, [IDLE, SLEEP, DELAY])
                assert {lock.who for lock in await other.locks()} == {"Inglenook"}
                box.logind.busy = False
                await until(other.kinds, [DELAY])
            await until(other.kinds, [])
    assert open_files() == files


async def test_the_board_sleeps_when_all_is_kept_and_not_before(running_bus: SystemBus) -> None:
    """The delay lock goes after `on_sleep` has ended, and is back before `on_resume` is called."""
    with running_bus.logind(**PATIENT):
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            box.awake.clear()
            await other.prepare_for_sleep(starting=True)
            await until_called(box, "sleep begins")
            assert await other.kinds() == [DELAY]

            box.awake.set()
            await until(other.kinds, [])
            assert box.called == ["sleep begins", "sleep ends"]

            box.logind.busy = True  # somebody asks at the last moment
            await other.prepare_for_sleep(starting=False)
            await until_called(box, "sleep begins", "sleep ends", "resume")
            assert DELAY in await other.kinds()
            await until(other.kinds, [IDLE, SLEEP, DELAY])


async def test_signal_and_clocks_tell_of_a_sleep_once(running_bus: SystemBus) -> None:
    """Whichever comes first; and a sleep that nobody announced is told by the clocks alone."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            one = ["sleep begins", "sleep ends", "resume"]
            await other.prepare_for_sleep(starting=True)
            await until(other.kinds, [])
            box.slept_s += 3600.0
            await until_called(box, *one)
            await other.prepare_for_sleep(starting=False)
            await until(other.kinds, [DELAY])

            await other.prepare_for_sleep(starting=True)
            await until(other.kinds, [])
            await other.prepare_for_sleep(starting=False)
            await until_called(box, *one, *one)

            box.slept_s += 60.0
            await until_called(box, *one, *one, "resume")


async def test_keeping_is_cut_short_when_logind_would_not_wait_longer(
    running_bus: SystemBus, caplog: pytest.LogCaptureFixture
) -> None:
    """The lock is released in time, and the log says that something may be missing."""
    with running_bus.logind(InhibitDelayMaxUSec=500_000):
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            box.awake.clear()
            await other.prepare_for_sleep(starting=True)
            await until(other.kinds, [])
            assert box.called == ["sleep begins", "sleep cut short"]
            assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
                "not all was kept before the board sleeps: 1 s are too few"
            ]

            await other.prepare_for_sleep(starting=False)
            await until(other.kinds, [DELAY])


async def test_a_logind_that_is_restarted_gets_the_locks_again(
    running_bus: SystemBus, caplog: pytest.LogCaptureFixture
) -> None:
    """As in an upgrade of systemd; the log says once that it went, and once that it is there."""
    caplog.set_level(logging.INFO, "inglenook")

    async def told_twice() -> bool:
        return len([record for record in caplog.records if record.name == LOGGER]) >= 2

    async with seat(running_bus.address) as other, sleeper() as box:
        box.logind.busy = True
        with running_bus.logind():
            await until(other.kinds, [IDLE, SLEEP, DELAY])
        assert await box.logind.can_suspend() == "na"
        with running_bus.logind():
            await until(other.kinds, [IDLE, SLEEP, DELAY])
            await until(told_twice, True)
        assert box.called == []
    went, came = [record.message for record in caplog.records if record.name == LOGGER][:2]
    assert went.startswith("sleep of the board is noticed only afterwards: logind ")
    assert came == "logind tells of sleep before it comes"


async def test_a_bus_that_is_restarted_is_found_again(bus: SystemBus) -> None:
    """Locks held on the old one are given up with it."""
    async with sleeper():
        for _ in range(2):
            with bus.running(), bus.logind():
                async with seat(bus.address) as other:
                    await until(other.kinds, [DELAY])


async def test_a_sleep_during_which_logind_is_lost_ends_too(running_bus: SystemBus) -> None:
    """A new logind that prepares for nothing means that the board is awake."""
    async with seat(running_bus.address) as other, sleeper() as box:
        with running_bus.logind():
            await until(other.kinds, [DELAY])
            await other.prepare_for_sleep(starting=True)
            await until(other.kinds, [])
        with running_bus.logind():
            await until_called(box, "sleep begins", "sleep ends", "resume")
            await until(other.kinds, [DELAY])


async def test_no_lock_is_taken_while_the_board_goes_to_sleep(running_bus: SystemBus) -> None:
    """A box that starts at this moment waits for the wake-up."""
    with running_bus.logind(PreparingForSleep=True):
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(box.logind.can_suspend, "yes")
            await other.prepare_for_sleep(starting=False)
            await until(other.kinds, [DELAY])


async def test_what_polkit_refuses_is_done_without_and_said_once(
    running_bus: SystemBus, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a rule of polkit's, a service may not block `sleep`, but `idle`."""
    caplog.set_level(logging.INFO, "inglenook")
    with running_bus.logind(Refused=[SLEEP]):
        async with seat(running_bus.address) as other, sleeper() as box:
            for _ in range(2):
                box.logind.busy = True
                await until(other.kinds, [IDLE, DELAY])
                box.logind.busy = False
                await until(other.kinds, [DELAY])
    refusal = "logind grants no block lock against sleep: Permission denied"
    assert [record.message for record in caplog.records].count(refusal) == 1


async def test_others_locks_are_noticed_and_ours_do_not_count(running_bus: SystemBus) -> None:
    """A backup that must not be interrupted keeps the box from suspending the board."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, sleeper() as box:

            async def inhibited() -> bool:
                return box.logind.inhibited

            box.logind.busy = True
            await until(other.kinds, [IDLE, SLEEP, DELAY])
            assert not box.logind.inhibited
            async with others_lock(running_bus, "sleep", "delay"):
                await until(other.kinds, [IDLE, SLEEP, DELAY, DELAY])
                async with others_lock(running_bus, "sleep", "block"):
                    await until(inhibited, True)
                await until(inhibited, False)


async def test_the_board_is_suspended_unless_somebody_keeps_it_awake(
    running_bus: SystemBus,
) -> None:
    """Root's word counts more with logind than others' locks, so it is not left to logind."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(box.logind.can_suspend, "yes")
            async with others_lock(running_bus, "idle", "block"):
                await until(other.kinds, [IDLE, DELAY])
                with pytest.raises(InglenookError, match="Backup keeps the board awake: Copying"):
                    await box.logind.suspend()
                assert await other.called("Suspend") == []
            await until(other.kinds, [DELAY])
            await box.logind.suspend()
            assert await other.called("Suspend") == [[False]]


async def test_only_logind_is_believed(running_bus: SystemBus) -> None:
    """Any program on the bus can send a signal of the same name."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            for name in await other.names():
                await other.forge_sleep(name)
            await other.prepare_for_sleep(starting=True)
            await until_called(box, "sleep begins", "sleep ends")


async def test_a_logind_that_hangs_is_left_and_found_again(
    running_bus: SystemBus, caplog: pytest.LogCaptureFixture
) -> None:
    """What it did meanwhile of what it was asked leaves no lock behind that nobody knows of."""
    caplog.set_level(logging.INFO, LOGGER)

    async def messages() -> int:
        return len(caplog.messages)

    with running_bus.logind() as logind:
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            await until_quiet(box)
            logind.send_signal(signal.SIGSTOP)
            with impatience():
                box.logind.busy = True
                await until(messages, 1)
            assert await box.logind.can_suspend() == "na"
            box.logind.busy = False
            logind.send_signal(signal.SIGCONT)
            await until(messages, 2)
            await until(other.kinds, [DELAY])
    assert caplog.messages[0].endswith("has not answered Inhibit for 0.2 s")
    assert caplog.messages[1:2] == ["logind tells of sleep before it comes"]


async def test_a_lock_that_nobody_waits_for_any_more_is_closed(running_bus: SystemBus) -> None:
    """The answer comes after its deadline, on a connection that is still in use."""
    with running_bus.logind() as process:
        async with seat(running_bus.address) as other, open_logind() as logind:
            process.send_signal(signal.SIGSTOP)
            with (
                impatience(),
                pytest.raises(InglenookError, match=r"has not answered Inhibit for 0\.2 s"),
            ):
                await logind.inhibit("sleep", "Inglenook", "why", "delay")
            process.send_signal(signal.SIGCONT)
            await until(logind.can_suspend, "yes")
            await until(other.kinds, [])


async def test_a_sleep_that_never_comes_is_given_up(running_bus: SystemBus) -> None:
    """Logind announces one and says no more; the box does not wait for ever."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, sleeper() as box:
            await until(other.kinds, [DELAY])
            await other.prepare_for_sleep(starting=True)
            await until(other.kinds, [])
            box.awake_s += 200.0
            await until_called(box, "sleep begins", "sleep ends", "resume")
            await until(other.kinds, [DELAY])


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The root of a board that can sleep and wake up."""
    clock = tmp_path / "sys/class/rtc/rtc0"
    clock.mkdir(parents=True)
    (clock / "since_epoch").write_text("1000\n")
    (clock / "wakealarm").write_text("")
    (tmp_path / "sys/power").mkdir(parents=True)
    (tmp_path / "sys/power/state").write_text("mem disk\n")
    return tmp_path


def said(root: Path) -> dict[str, tuple[str, str]]:
    """What doctor says of sleep."""
    config = Config(name="Kitchen", state_dir=root, governor=GovernorSettings(root=root))
    return {line.what: (line.verdict, line.text) for line in sleep_lines(config)}


@pytest.mark.parametrize(
    ("parameters", "suspend", "locks"),
    [
        ({}, "ok", ("ok", "allowed, while it answers and to keep what is under way")),
        ({"CanSuspend": "challenge"}, "warning", ("ok", "allowed,")),
        ({"CanSuspend": "no"}, "warning", ("ok", "allowed,")),
        ({"CanSuspend": "na"}, "warning", ("ok", "allowed,")),
        (
            {"Refused": [SLEEP]},
            "ok",
            ("warning", "logind does not grant this user: block sleep; timers wait for the box"),
        ),
    ],
)
def test_doctor_tells_what_logind_allows(
    running_bus: SystemBus,
    board: Path,
    parameters: dict[str, Any],
    suspend: str,
    locks: tuple[str, str],
) -> None:
    """And that the locks it tried are released is seen in that it does not name itself."""
    with running_bus.logind(**parameters):
        lines = said(board)

    assert lines["suspend"][0] == suspend
    assert lines["holding off sleep"][0] == locks[0]
    assert lines["holding off sleep"][1].startswith(locks[1])
    assert "kept awake" not in lines


async def test_doctor_names_who_keeps_the_board_awake(running_bus: SystemBus, board: Path) -> None:
    """With the reason that they give."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, others_lock(running_bus, "sleep", "block"):
            await until(other.kinds, [SLEEP])
            lines = await asyncio.to_thread(said, board)

    assert lines["kept awake"] == ("ok", "by Backup: Copying photos")


async def test_the_suspend_test_is_logind_s_to_refuse(running_bus: SystemBus, board: Path) -> None:
    """The alarm that was set for it is taken back."""
    with running_bus.logind():
        async with seat(running_bus.address) as other, others_lock(running_bus, "sleep", "block"):
            await until(other.kinds, [SLEEP])
            async with open_logind() as logind:
                bed = Suspender(logind.suspend, root=board)
                with pytest.raises(InglenookError, match="Backup keeps the board awake"):
                    await try_suspend(board, bed)
            assert await other.called("Suspend") == []

    assert (board / "sys/class/rtc/rtc0/wakealarm").read_text() == "0\n"
