"""What sensors and kernels get up to, what is read then, and what the law makes of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import pytest

from inglenook.governor.limits import Capacity, Level, LimitReason
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.probes import Probes
from inglenook.governor.readings import FirmwareFlags
from tests.parts.board import (
    Board,
    amd_nas,
    intel_nas,
    pi_5,
    rk3588_mainline,
    rk3588_vendor,
    virtual_machine,
)

CAPACITY = Capacity(max_active=8, threads=4, ram_cache_bytes=2**28)

ZONE = "sys/class/thermal/thermal_zone0"
TEMP = f"{ZONE}/temp"
THROTTLED = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
GROUP = "sys/fs/cgroup/system.slice/inglenook.service"

ENGINE_PID = 4711

#: Readings of a Pi 5 at rest.
WARM = {"cpu-thermal": 45.0}

#: What a board says from the first second on, or does to its files second by second.
Doing = Callable[[Board, int], None]


def nothing(_board: Board, _second: int) -> None:
    """All stays as it is."""


@dataclass(frozen=True)
class Oddity:
    """One row: what happens, and what comes of it.

    Attributes:
        what: In a few words.
        temps_c: The sensors that count at the end, and what is believed of them.
        level: What the law says then.
        reason: And why it holds back.
        board: On which board.
        before: What is odd from the start.
        each: What happens in every second after the first reading.
        seconds: How many of them.
        faulty: Sensors that count as hot at the end.
        also: Other readings at the end, by dotted name.
    """

    what: str
    temps_c: dict[str, float]
    level: Level = Level.COOL
    reason: LimitReason = LimitReason.NONE
    board: Callable[[Path], Board] = pi_5
    before: Callable[[Board], None] = lambda _board: None
    each: Doing = nothing
    seconds: int = 0
    faulty: tuple[str, ...] = ()
    also: dict[str, object] = field(default_factory=dict)


def says(*texts: str | int) -> Doing:
    """The sensor says one after the other, and again from the start."""

    def each(board: Board, second: int) -> None:
        board.write(TEMP, texts[(second - 1) % len(texts)])

    return each


def says_once(text: str | int) -> Callable[[Board], None]:
    """The sensor has said so from the start."""
    return lambda board: board.write(TEMP, text)


def holds(content: bytes) -> Callable[[Board], None]:
    """The sensor's file holds exactly this."""
    return lambda board: board.raw(TEMP, content)


def wrote(path: str, text: str | int) -> Callable[[Board], None]:
    """A file says so from the start."""
    return lambda board: board.write(path, text)


def refuses(board: Board, second: int) -> None:
    """The driver answers EIO from the first second on; /proc/self/mem does so at its start."""
    if second == 1:
        board.remove(TEMP)
        (board.root / TEMP).symlink_to("/proc/self/mem")


def vanishes(board: Board, second: int) -> None:
    """The driver is unloaded; with the zone goes the chip it is shown as."""
    if second == 1:
        board.remove(ZONE)
        board.remove("sys/class/hwmon/hwmon0")


def comes_back_elsewhere(board: Board, second: int) -> None:
    """The driver is unloaded, and loaded again after four seconds."""
    vanishes(board, second)
    if second == 5:
        board.zone(3, "cpu-thermal")


def rests_then_works(board: Board, second: int) -> None:
    """The engine rests for a minute and a half and then keeps four cores busy."""
    ticks = 400 * max(0, second - 90)
    head = f"{ENGINE_PID} (inglenook (e)) R" + " 0" * 10
    board.write(f"proc/{ENGINE_PID}/stat", f"{head} {ticks} 0 0 0 20 0 5 0 100 0 1000 0")


def moves_as_it_works(board: Board, second: int) -> None:
    """The same, with a sensor that has steps of 1 °C and takes one at the start of the work."""
    rests_then_works(board, second)
    if second == 100:
        board.write(TEMP, 46000)


def group(limit: str | int, current: int, cache: int = 0, high: str | int = "max") -> Doing:
    """A service's control group, version 2; the slice has no limit."""

    def each(board: Board, _second: int) -> None:
        board.write("proc/self/cgroup", "0::/system.slice/inglenook.service")
        board.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
        for folder, most in ((GROUP, limit), (str(Path(GROUP).parent), "max")):
            board.write(f"{folder}/memory.max", most)
            board.write(f"{folder}/memory.high", high)
            board.write(f"{folder}/memory.current", current)
        board.write(f"{GROUP}/memory.stat", f"anon 1\nfile {cache}\ninactive_file {cache}")
        board.write(f"{GROUP}/memory.events", "low 0\nmax 7\noom 2\noom_kill 1")

    return each


def grouped(doing: Doing) -> Callable[[Board], None]:
    """From the start on."""
    return lambda board: doing(board, 0)


def group_v1(board: Board) -> None:
    """Control groups of version 1 without a limit."""
    board.write("proc/self/cgroup", "4:memory:/user.slice\n0::/user.slice")
    folder = "sys/fs/cgroup/memory/user.slice"
    board.write(f"{folder}/memory.limit_in_bytes", 9223372036854771712)
    board.write(f"{folder}/memory.usage_in_bytes", 2**31)
    board.write(f"{folder}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3")


def no_swap_lines(board: Board) -> None:
    """A kernel without swap."""
    path = board.root / "proc/meminfo"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("Swap")))


def throttled_at(temp_c: float) -> Doing:
    """The kernel holds the clock down while the chip is this hot."""

    def each(board: Board, second: int) -> None:
        board.heat(min(temp_c, 45 + 10 * second))
        board.throttle(3)

    return each


def battery(name: str, **files: str | int) -> Callable[[Board], None]:
    """Something with a charge."""

    def before(board: Board) -> None:
        for file, text in files.items():
            board.write(f"sys/class/power_supply/{name}/{file}", text)

    return before


def dies(what: str, each: Doing, seconds: int) -> Oddity:
    """A sensor that was there is lost: the box works as if it were hot."""
    return Oddity(
        what,
        {},
        Level.HOT,
        LimitReason.THERMAL,
        each=each,
        seconds=seconds,
        faulty=("cpu-thermal",),
    )


BIG = {"package-thermal": 45.0, "bigcore0-thermal": 45.0, "bigcore2-thermal": 45.0}
RK = BIG | {"littlecore-thermal": 45.0}
HOT_RK = dict.fromkeys(RK, 84.0)

ODDITIES = [
    # No sensor from the start: nothing is known, and nothing is held back.
    Oddity("no zone at all", {}, Level.UNKNOWN, board=virtual_machine),
    Oddity("text", {}, Level.UNKNOWN, before=says_once("n/a")),
    Oddity("a fraction", {}, Level.UNKNOWN, before=says_once("45.5")),
    Oddity("absolute zero", {}, Level.UNKNOWN, before=says_once(-273150)),
    Oddity("0 for ever", {}, Level.UNKNOWN, before=says_once(0), seconds=10),
    Oddity("255 °C for ever", {}, Level.UNKNOWN, before=says_once(255000), seconds=10),
    Oddity("an empty file", {}, Level.UNKNOWN, before=holds(b"")),
    Oddity("another alphabet's digits", {}, Level.UNKNOWN, before=holds("٤٥٠٠٠".encode())),
    Oddity("a driver that refuses", {}, Level.UNKNOWN, before=lambda board: refuses(board, 1)),
    # Odd, and right.
    Oddity("a NUL at the end", WARM, before=holds(b"45000\n\0")),
    Oddity("a line's end as on Windows", WARM, before=holds(b"45000\r\n")),
    Oddity("no line's end", WARM, before=holds(b"45000")),
    Oddity("frost", {"cpu-thermal": -5.0}, before=says_once(-5000)),
    Oddity("steps of 1 °C", {"cpu-thermal": 46.0}, each=says(45000, 46000), seconds=30),
    Oddity("a disabled zone", WARM, before=wrote(f"{ZONE}/mode", "disabled")),
    Oddity("trip points missing", WARM, before=lambda board: board.zone(0, "cpu-thermal")),
    Oddity(
        "a trip point at -274 °C",
        WARM,
        before=lambda board: board.zone(0, "cpu-thermal", [("passive", -274000)]),
    ),
    # For a moment, and passed over.
    Oddity("200 °C once", WARM, each=says(200000), seconds=1),
    Oddity("200 °C twice", WARM, each=says(200000), seconds=2),
    Oddity("0 every other second", WARM, each=says(0, 45000), seconds=20),
    Oddity("40 °C more, once", WARM, each=says(85000, 45000), seconds=2),
    Oddity("nothing, once", WARM, each=says("", 45000), seconds=1),
    # For longer: it was there, so it counts as hot.
    dies("200 °C three times", says(200000), 3),
    dies("0 from now on", says(0), 3),
    dies("text from now on", says("error"), 3),
    dies("empty from now on", says(""), 3),
    dies("a driver that refuses from now on", refuses, 3),
    dies("a zone that vanishes", vanishes, 3),
    dies("a zone that stays away", vanishes, 70),
    dies("wild jumps", says(140000, -30000, 130000), 12),
    dies("stuck while the engine works", rests_then_works, 220),
    # And what looks like it.
    Oddity(
        "back under another number, hot for a while yet",
        WARM,
        Level.HOT,
        LimitReason.THERMAL,
        each=comes_back_elsewhere,
        seconds=13,
    ),
    Oddity("back, and cool again", WARM, Level.COOL, each=comes_back_elsewhere, seconds=180),
    Oddity(
        "40 °C more, and it stays",
        {"cpu-thermal": 85.0},
        Level.CRITICAL,
        LimitReason.THERMAL,
        each=says(85000),
        seconds=12,
    ),
    Oddity("still for three minutes, at rest", WARM, seconds=180),
    Oddity("one step in all that work", {"cpu-thermal": 46.0}, each=moves_as_it_works, seconds=230),
    # Hot things that are not the processor.
    Oddity("a disk at 80 °C", WARM, before=wrote("sys/class/hwmon/hwmon3/temp1_input", 80000)),
    Oddity(
        "a graphics part at 90 °C",
        RK,
        board=rk3588_mainline,
        before=wrote("sys/class/thermal/thermal_zone5/temp", 90000),
    ),
    Oddity(
        "a radio at 95 °C; and the same register twice",
        {"coretemp Package id 0": 45.0},
        board=intel_nas,
        before=wrote("sys/class/thermal/thermal_zone2/temp", 95000),
    ),
    Oddity("a reading that is for fans", {"k10temp Tdie": 45.0}, board=amd_nas),
    # Zones that disagree: the one nearest to its limit counts.
    Oddity(
        "one zone at 84 °C",
        RK | {"bigcore0-thermal": 84.0},
        Level.HOT,
        LimitReason.THERMAL,
        board=rk3588_mainline,
        before=wrote("sys/class/thermal/thermal_zone1/temp", 84000),
        seconds=5,
    ),
    Oddity(
        "one zone of four dies",
        {name: 45.0 for name in RK if name != "package-thermal"},
        Level.HOT,
        LimitReason.THERMAL,
        board=rk3588_mainline,
        each=says(0),
        seconds=3,
        faulty=("package-thermal",),
    ),
    Oddity(
        "a kernel that begins at its first mark",
        {f"{name}-thermal": 74.0 for name in ("soc", "bigcore0", "bigcore1", "littlecore")},
        Level.HOT,
        LimitReason.THERMAL,
        board=rk3588_vendor,
        before=lambda board: board.heat(74),
        seconds=5,
    ),
    # Cooling devices.
    Oddity(
        "a fan at work",
        WARM,
        before=wrote("sys/class/thermal/cooling_device0/cur_state", 4),
        also={"throttled_by_kernel": False},
    ),
    Oddity(
        "the clock held down by heat",
        HOT_RK,
        Level.CRITICAL,
        LimitReason.THERMAL,
        board=rk3588_mainline,
        each=throttled_at(84),
        seconds=8,
        also={"throttled_by_kernel": True},
    ),
    Oddity(
        "the clock held down, and not by heat",
        dict.fromkeys(RK, 55.0),
        board=rk3588_mainline,
        each=throttled_at(55),
        seconds=8,
        also={"throttled_by_kernel": True},
    ),
    # A Raspberry Pi's firmware.
    Oddity(
        "the supply was weak once",
        WARM,
        before=wrote(THROTTLED, "50000"),
        also={"firmware": FirmwareFlags()},
    ),
    Oddity(
        "the supply is weak",
        WARM,
        Level.COOL,
        LimitReason.POWER,
        before=wrote(THROTTLED, "0x50005"),
        also={"firmware": FirmwareFlags(undervoltage=True, throttled=True)},
    ),
    Oddity("flags that are none", WARM, before=wrote(THROTTLED, "?"), also={"firmware": None}),
    # Memory.
    Oddity(
        "no pressure file",
        WARM,
        before=lambda board: board.remove("proc/pressure/memory"),
        also={"memory.psi_some_avg10": None, "memory.psi_full_avg10": None},
    ),
    Oddity("no swap", WARM, before=no_swap_lines, also={"memory.swap_total_bytes": None}),
    Oddity(
        "an empty meminfo",
        WARM,
        before=wrote("proc/meminfo", ""),
        also={"memory.total_bytes": None, "memory.left_bytes": None},
    ),
    Oddity(
        "a group whose limit is max",
        WARM,
        before=grouped(group("max", 2**31)),
        also={"memory.limit_bytes": None, "memory.oom_kills": 1},
    ),
    Oddity(
        "a group of version 1 without a limit",
        WARM,
        before=group_v1,
        also={"memory.limit_bytes": None, "memory.oom_kills": 3},
    ),
    Oddity(
        "a full group, most of it cache",
        WARM,
        before=grouped(group(2**31, 2**31, cache=2**30)),
        also={"memory.limit_bytes": 2**31, "memory.left_bytes": 2**30},
    ),
    Oddity(
        "a full group",
        WARM,
        Level.COOL,
        LimitReason.MEMORY,
        before=grouped(group(2**31, 2**31)),
        seconds=5,
        also={"memory.left_bytes": 0},
    ),
    Oddity(
        "a group near where the kernel begins to hold it up",
        WARM,
        Level.COOL,
        LimitReason.MEMORY,
        before=grouped(group(2**31, 2**30, high=2**30)),
        seconds=5,
        also={"memory.limit_bytes": 2**30, "memory.left_bytes": 0},
    ),
    # Supplies.
    Oddity(
        "a UPS that runs out",
        WARM,
        Level.COOL,
        LimitReason.POWER,
        before=battery("ups", type="UPS", status="Discharging", capacity=12),
        also={"on_battery": True, "battery_percent": 12.0},
    ),
    Oddity(
        "a mouse that runs out",
        WARM,
        before=battery("hid", type="Battery", scope="Device", status="Discharging", capacity=3),
        also={"on_battery": None, "battery_percent": None},
    ),
]


def run(oddity: Oddity, root: Path) -> None:
    """Let it happen, and compare."""
    board = oddity.board(root)
    oddity.before(board)
    moment = 1000.0
    probes = Probes(root, lambda: ENGINE_PID, clock=lambda: moment)
    readings = probes.read()
    state, decision = decide(PolicyState(), readings, CAPACITY, moment, busy=True)
    for second in range(1, oddity.seconds + 1):
        moment += 1.0
        oddity.each(board, second)
        readings = probes.read()
        state, decision = decide(state, readings, CAPACITY, moment, busy=True)

    assert {zone.name: zone.temp_c for zone in readings.zones} == oddity.temps_c
    assert readings.faulty == oddity.faulty
    assert {name: attrgetter(name)(readings) for name in oddity.also} == oddity.also
    assert (decision.level, decision.reason) == (oddity.level, oddity.reason)


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
def test_what_is_read_and_what_is_decided(oddity: Oddity, tmp_path: Path) -> None:
    """A sensor that was never there holds nothing back; one that fails does."""
    run(oddity, tmp_path)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that others than root may look into, and tests without root's rights in it."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        os.seteuid(before)


def drop_rights(board: Board, second: int) -> None:
    """Nobody but root may read the sensor any more, and we are not root."""
    if second == 1:
        (board.root / TEMP).chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65534)


@pytest.mark.parametrize(
    "oddity",
    [
        Oddity("never", {}, Level.UNKNOWN, before=lambda board: drop_rights(board, 1)),
        dies("no longer", drop_rights, 3),
    ],
    ids=lambda oddity: oddity.what,
)
def test_a_sensor_that_may_not_be_read(oddity: Oddity, open_root: Path) -> None:
    """As any other that gives no readings."""
    run(oddity, open_root)
