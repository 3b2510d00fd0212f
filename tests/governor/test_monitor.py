"""Once a second the board is looked at; what turns is said once, and nothing hangs the loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inglenook.governor import monitor as module
from inglenook.governor.clocks import KEPT_NAME, ClockCaps
from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.monitor import BoxLoad, Monitor, SampleIntervals
from inglenook.governor.probes import Probes
from inglenook.governor.readings import MemoryReadings, Readings, Zone
from tests.parts.board import Board, pi_5, rk3588_mainline

DEADLINE_S = 20.0
MIB = 2**20


def seconds() -> Callable[[], float]:
    """A clock that goes on by a second whenever it is looked at."""
    return itertools.count(100.0).__next__


class Watch:
    """A monitor whose every look is a second of the law's time, and what it said.

    Attributes:
        slept_s: Every pause it made; none takes any time.
        after_look: Called between two readings.
    """

    def __init__(
        self, read: Callable[[], Readings], *, enabled: bool = True, every_s: float = 0.0
    ) -> None:
        self.busy = False
        self.slept_s: list[float] = []
        self.after_look: Callable[[], None] = lambda: None
        self.looks: list[tuple[Decision, Readings]] = []
        self._looked = asyncio.Event()
        self.monitor = Monitor(
            read,
            lambda: BoxLoad(Capacity(4, 4), self.busy),
            self._look,
            enabled=enabled,
            pace=SampleIntervals(every_s, seconds(), self._sleep),
        )

    def _look(self, decision: Decision, readings: Readings) -> None:
        self.looks.append((decision, readings))
        self._looked.set()
        self.after_look()

    async def _sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        await asyncio.sleep(0)

    @property
    def decision(self) -> Decision:
        """The latest."""
        return self.looks[-1][0]

    async def until(self, condition: Callable[[Decision], bool]) -> Decision:
        """Wait for a decision of which this is true."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                self._looked.clear()
                await self._looked.wait()
                if condition(self.decision):
                    return self.decision

    @asynccontextmanager
    async def running(self, clocks: ClockCaps | None = None) -> AsyncIterator[None]:
        """Look until the end of the block."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.monitor.run(clocks), name="governor")
            try:
                yield
            finally:
                task.cancel()


def at(temp_c: float) -> Readings:
    """A board with one sensor and a limit of 85 °C."""
    return Readings(zones=(Zone("cpu", temp_c, 85.0),))


class Dial:
    """A sensor that a test sets."""

    def __init__(self, readings: Readings) -> None:
        self.readings = readings

    def read(self) -> Readings:
        return self.readings


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


async def test_a_real_board_is_looked_at(tmp_path: Path) -> None:
    """From the file of its sensor to a decision."""
    board = pi_5(tmp_path)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.COOL)
        board.heat(67)
        await watch.until(lambda decision: decision.level is not Level.COOL)

    hottest = watch.looks[-1][1].hottest
    assert hottest is not None
    assert hottest.temp_c == 67.0
    assert "where the board slows itself down" in watch.decision.sentence


@pytest.mark.parametrize(
    ("busy", "calm", "temp_c", "pauses"),
    [
        (True, False, 45.0, 1),
        (False, False, 45.0, 2),
        (False, False, 84.95, 1),
        (False, True, 45.0, 5),
    ],
)
async def test_a_board_with_nothing_to_do_is_looked_at_less_often(
    busy: bool, calm: bool, temp_c: float, pauses: int
) -> None:
    """Twice the pause while nobody is answered, unless something is limited; five times at rest."""
    watch = Watch(lambda: at(temp_c), every_s=7.0)
    watch.busy, watch.monitor.calm = busy, calm
    async with watch.running():
        await watch.until(lambda _decision: len(watch.looks) > 6)

    assert min(watch.slept_s) == watch.slept_s[-1] == pauses * 7.0


async def test_one_line_is_written_for_each_turn_and_none_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a warning on the way up, as information on the way down."""
    caplog.set_level(logging.INFO, "inglenook.governor")
    dial = Dial(at(45.0))
    watch = Watch(dial.read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.COOL)
        dial.readings = at(84.95)
        await watch.until(lambda decision: decision.level is Level.CRITICAL)
        seen = len(watch.looks)
        await watch.until(lambda decision: len(watch.looks) > seen + 100)
        dial.readings = at(45.0)
        watch.busy = True
        await watch.until(lambda decision: decision.reason is LimitReason.NONE)

    said = lines(caplog)
    assert len({decision.duty for decision, _readings in watch.looks}) > len(said)
    levels = [text.partition(":")[0] for _level, text in said]
    assert levels[0] == "board cool"
    up = levels.index("board critical")
    down = len(levels) - 1 - levels[::-1].index("board critical")
    assert {level for level, _text in said[up : down + 1]} == {logging.WARNING}
    assert {level for level, _text in said[down + 1 :]} == {logging.INFO}
    assert levels[-1] == "board cool"
    assert len(said) == 1 + len([1 for before, after in turns(watch) if before != after])


def turns(watch: Watch) -> Iterator[tuple[object, object]]:
    """Neighbouring decisions, as far as they are worth a line."""
    kinds = [(d.level, d.reason, d.max_active, d.admit, d.unload) for d, _readings in watch.looks]
    return itertools.pairwise(kinds)


async def test_a_reading_that_hangs_counts_as_hot_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver may hold a file for ever; the loop goes on, and so does the law."""
    caplog.set_level(logging.INFO, "inglenook.governor")
    monkeypatch.setattr(module, "READING_S", DEADLINE_S)
    free = threading.Event()
    free.set()

    def read() -> Readings:
        free.wait()
        return at(45.0)

    def hang() -> None:
        # Of this one alone: a machine that stands still for a moment hangs in no driver.
        watch.after_look = lambda: None
        monkeypatch.setattr(module, "READING_S", 0.05)
        free.clear()

    watch = Watch(read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.COOL)
        watch.after_look = hang
        hot = await watch.until(lambda decision: decision.level is Level.HOT)
        monkeypatch.setattr(module, "READING_S", DEADLINE_S)
        seen = len(watch.looks)
        await watch.until(lambda _decision: len(watch.looks) > seen + 10)
        free.set()
        await watch.until(lambda decision: decision.level is Level.COOL)

    assert (hot.reason, hot.duty < 1) == (LimitReason.THERMAL, True)
    assert "The sensor cpu has stopped working" in hot.sentence
    texts = [text for _level, text in lines(caplog)]
    assert len([text for text in texts if "hangs in the kernel" in text]) == 1
    assert texts.count("sensors and memory can be read again") == 1


async def test_a_first_reading_that_hangs_counts_as_hot_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the program can end all the same."""
    monkeypatch.setattr(module, "READING_S", 0.05)
    free = threading.Event()

    def read() -> Readings:
        free.wait()
        return at(45.0)

    watch = Watch(read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.HOT)
    free.set()

    assert "that is being read" in watch.decision.sentence


async def test_memory_that_runs_short_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """Down to unloading, rung by rung, each with its line."""
    caplog.set_level(logging.INFO, "inglenook.governor")
    dial = Dial(Readings(memory=MemoryReadings(total_bytes=1000 * MIB, available_bytes=20 * MIB)))
    watch = Watch(dial.read)
    async with watch.running():
        await watch.until(lambda decision: decision.unload)

    assert [decision.admit for decision, _readings in watch.looks] == [False] * len(watch.looks)
    assert "the model is unloaded" in lines(caplog)[-1][1]


async def test_switched_off_it_looks_and_limits_nothing() -> None:
    """The level is still told."""
    dial = Dial(
        Readings(
            zones=(Zone("cpu", 99.0, 85.0),),
            memory=MemoryReadings(total_bytes=1000 * MIB, available_bytes=MIB),
        )
    )
    watch = Watch(dial.read, enabled=False)
    async with watch.running():
        await watch.until(lambda _decision: len(watch.looks) > 60)

    decision = watch.decision
    assert decision.level is Level.CRITICAL
    assert (decision.max_active, decision.threads, decision.duty) == (4, 4, 1.0)
    assert (decision.reason, decision.admit, decision.unload) == (LimitReason.NONE, True, False)


CAP = "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"
FREE, LEAST = "2400000\n", "1200000\n"


def capped(board: Board, text: str) -> Callable[[Decision], bool]:
    return lambda _decision: (board.root / CAP).read_text() == text


async def test_heat_lowers_the_clock_and_the_end_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real board's file, from a decision to the kernel and back."""
    monkeypatch.setattr(module, "_RELEASE_S", DEADLINE_S)
    board = pi_5(tmp_path)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read)
    watch.busy = True
    async with watch.running(ClockCaps(tmp_path, tmp_path)):
        await watch.until(lambda decision: decision.level is Level.COOL)
        board.heat(79.5)
        await watch.until(capped(board, LEAST))
        assert (tmp_path / KEPT_NAME).exists()
        assert (watch.decision.clock, watch.decision.threads) == (0.5, 4)
        board.heat(40)
        await watch.until(capped(board, FREE))
        board.heat(79.5)
        await watch.until(capped(board, LEAST))

    assert capped(board, FREE)(watch.decision)
    assert not (tmp_path / KEPT_NAME).exists()


async def test_the_clock_is_left_alone_while_the_kernel_holds_it_down(tmp_path: Path) -> None:
    """What stands there then is not what has to be given back."""
    board = rk3588_mainline(tmp_path)
    board.throttle(1)
    board.heat(80)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read)
    watch.busy = True
    clocks = ClockCaps(tmp_path, tmp_path)
    async with watch.running(clocks):
        await watch.until(lambda decision: decision.threads < 4)
        assert clocks.shares == (1.0,)
        board.throttle(0)
        await watch.until(lambda decision: decision.clock < 1)


async def test_switched_off_it_only_gives_back_what_was_left(tmp_path: Path) -> None:
    """The cap of a daemon that was killed; the heat of now lowers nothing."""
    board = pi_5(tmp_path)
    board.write(CAP, 1200000)
    (tmp_path / KEPT_NAME).write_text('{"boot_id": "", "khz": {"policy0": 2400000}}')
    board.heat(79.5)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read, enabled=False)
    async with watch.running(ClockCaps(tmp_path, tmp_path)):
        await watch.until(capped(board, FREE))
        await watch.until(lambda _decision: len(watch.looks) > 30)

    assert capped(board, FREE)(watch.decision)
    assert {decision.clock for decision, _readings in watch.looks} == {1.0}


class Sensors:
    """Readings that a test has fail.

    Attributes:
        fails: What is raised instead of each of the next readings.
        reads: How often it was asked.
    """

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.reads = 0

    def read(self) -> Readings:
        self.reads += 1
        # The first one goes well, so that there is a sensor to fail.
        if self.reads > 1 and self.fails:
            raise self.fails.pop(0)
        return at(45.0)


def traces(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info is not None]


@pytest.mark.parametrize("raised", [ValueError("of a driver"), StopIteration(), KeyError("zone0")])
async def test_one_error_in_a_probe_costs_one_look(
    raised: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """That look counts as faulty; the log has one line with its trace, and no talk of a hang."""
    caplog.set_level(logging.INFO)
    sensors = Sensors(raised)
    watch = Watch(sensors.read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.HOT)
        await watch.until(lambda decision: decision.level is Level.COOL)

    faulty = [readings.faulty for _decision, readings in watch.looks if readings.faulty]
    assert faulty == [("cpu",)]
    [record] = traces(caplog)
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("reading sensors and memory: an unexpected error")
    texts = [text for _level, text in lines(caplog)]
    assert texts.count("sensors and memory can be read again") == 1
    assert not [text for text in texts if "hangs in the kernel" in text]


async def test_a_probe_that_fails_again_and_again_is_told_once_and_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a second; the box works as if it were hot until it is well."""
    caplog.set_level(logging.INFO)
    sensors = Sensors(*[ValueError() for _ in range(9)])
    watch = Watch(sensors.read)
    async with watch.running():
        await watch.until(lambda decision: decision.level is Level.HOT)
        await watch.until(lambda decision: decision.level is Level.COOL)

    assert [bool(readings.faulty) for _decision, readings in watch.looks[1:10]] == [True] * 9
    assert len(traces(caplog)) == 1


async def test_the_clock_is_given_back_though_a_probe_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that reads is the one that caps, and it lives."""
    monkeypatch.setattr(module, "_RELEASE_S", DEADLINE_S)
    board = pi_5(tmp_path)
    probes = Probes(tmp_path, lambda: None, seconds())
    fails: list[Exception] = []

    def read() -> Readings:
        if fails:
            raise fails.pop()
        return probes.read()

    watch = Watch(read)
    watch.busy = True
    async with watch.running(ClockCaps(tmp_path, tmp_path)):
        board.heat(79.5)
        await watch.until(capped(board, LEAST))
        fails.append(ValueError())
        await watch.until(lambda _decision: not fails)

    assert capped(board, FREE)(watch.decision)
    assert not (tmp_path / KEPT_NAME).exists()


class Refusing(ClockCaps):
    """Clocks of which one call fails.

    Attributes:
        failing: Which, and how often it fails.
    """

    def __init__(self, folder: Path, call: str, times: int) -> None:
        super().__init__(folder, folder)
        self.failing = {call: times}

    def take(self) -> None:
        self._fail("take")
        super().take()

    def cap(self, share: float) -> None:
        self._fail("cap")
        super().cap(share)

    def release(self) -> None:
        self._fail("release")
        super().release()

    def _fail(self, call: str) -> None:
        if self.failing.get(call):
            self.failing[call] -= 1
            raise ZeroDivisionError


@pytest.mark.parametrize("call", ["take", "cap"])
async def test_a_clock_that_could_not_be_set_is_set_at_the_next_look(
    call: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And what went wrong stands in the log, not in a future that nobody looks at."""
    board = pi_5(tmp_path)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read)
    watch.busy = True
    async with watch.running(Refusing(tmp_path, call, 2)):
        board.heat(79.5)
        await watch.until(capped(board, LEAST))

    assert [record.getMessage()[:17] for record in traces(caplog)] == ["setting the clock"]


async def test_a_clock_that_cannot_be_given_back_ends_the_governor_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file that says what to give back stays for the next start."""
    board = pi_5(tmp_path)
    watch = Watch(Probes(tmp_path, lambda: None, seconds()).read)
    watch.busy = True
    async with watch.running(Refusing(tmp_path, "release", 1)):
        board.heat(79.5)
        await watch.until(capped(board, LEAST))

    assert len(traces(caplog)) == 1
    assert (tmp_path / KEPT_NAME).exists()


@pytest.mark.parametrize("what", ["work", "on_look", "clock"])
async def test_what_the_governor_is_handed_may_fail(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs a look."""
    watch = Watch(lambda: at(45.0))
    fails = [ZeroDivisionError()]

    def failing(call: Callable[..., object]) -> Callable[..., object]:
        def fail(*args: object) -> object:
            if fails and watch.looks:
                raise fails.pop()
            return call(*args)

        return fail

    monitor = watch.monitor
    if what == "clock":
        monitor._pace = SampleIntervals(0.0, failing(monitor._pace.clock), watch._sleep)  # type: ignore[arg-type]
    else:
        setattr(monitor, f"_{what}", failing(getattr(monitor, f"_{what}")))
    async with watch.running():
        await watch.until(lambda _decision: not fails and len(watch.looks) > 3)

    assert len(traces(caplog)) == 1


async def test_the_governor_may_be_begun_again() -> None:
    """With another thread, whatever became of the one before."""
    watch = Watch(lambda: at(45.0))
    for _ in range(2):
        async with watch.running():
            seen = len(watch.looks)
            await watch.until(lambda _decision, seen=seen: len(watch.looks) > seen)  # type: ignore[misc]
