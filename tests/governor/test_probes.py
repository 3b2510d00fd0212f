"""The probes read a whole board, find what comes and goes, and cost little."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.governor.probes import Probes
from inglenook.governor.readings import FirmwareFlags, MemoryReadings, Neighbour, Readings, Zone
from tests.parts.board import (
    Board,
    amd_nas,
    intel_nas,
    pi_4,
    pi_5,
    rk3588_mainline,
    rk3588_vendor,
    virtual_machine,
)

MAKERS = [pi_4, pi_5, rk3588_mainline, rk3588_vendor, intel_nas, amd_nas, virtual_machine]
ZONE = "sys/class/thermal/thermal_zone0"
CHIP = "sys/class/hwmon/hwmon4"


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reader(root: Path, clock: Clock) -> Callable[..., Readings]:
    """Probes of a folder, and a way to read them some seconds later."""
    probes = Probes(root, lambda: None, clock)

    def read(*, later_s: float = 1.0) -> Readings:
        clock.now += later_s
        return probes.read()

    return read


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_whole_board_is_read(tmp_path: Path) -> None:
    """A Pi 5 at rest, with an engine."""
    board = pi_5(tmp_path)
    board.write("proc/7/stat", "7 (python3) S" + " 0" * 20 + " 1000 0")
    board.write("proc/7/status", "Name:\tpython3\nVmRSS:\t    4000 kB\nRssFile:\t    3000 kB")

    assert Probes(tmp_path, lambda: 7).read() == Readings(
        zones=(Zone("cpu-thermal", 45.0, 80.0, 110.0),),
        firmware=FirmwareFlags(),
        freq_ratio=1.0,
        freq_hz=2_400_000_000,
        memory=MemoryReadings(
            total_bytes=8245392 * 1024,
            available_bytes=6291456 * 1024,
            weights_bytes=3000 * 1024,
            swap_total_bytes=524288 * 1024,
            swap_free_bytes=524288 * 1024,
            psi_some_avg10=0.0,
            psi_full_avg10=0.0,
        ),
        engine_rss_bytes=1000 * os.sysconf("SC_PAGE_SIZE"),
    )


def test_an_empty_folder_says_nothing(tmp_path: Path) -> None:
    """And is no fault."""
    assert Probes(tmp_path, lambda: 7).read() == Readings()


def test_heat_and_throttling_show_at_the_next_reading(tmp_path: Path, clock: Clock) -> None:
    """As a test of the whole program warms its board."""
    board = rk3588_mainline(tmp_path)
    read = reader(tmp_path, clock)
    read()
    board.heat(60.5)
    board.throttle(2)
    readings = read()

    assert {zone.temp_c for zone in readings.zones} == {60.5}
    assert readings.throttled_by_kernel


def test_a_driver_loaded_later_is_found_within_a_minute(tmp_path: Path, clock: Clock) -> None:
    """Nothing is looked for every second."""
    board = virtual_machine(tmp_path)
    read = reader(tmp_path, clock)
    assert read().zones == ()
    board.zone(0, "cpu-thermal")
    assert read(later_s=59.0).zones == ()

    assert [zone.name for zone in read(later_s=1.0).zones] == ["cpu-thermal"]


def test_a_trip_point_that_was_moved_counts_within_a_minute(tmp_path: Path, clock: Clock) -> None:
    """They are files that may be written."""
    board = rk3588_mainline(tmp_path)
    read = reader(tmp_path, clock)
    read()
    board.write("sys/class/thermal/thermal_zone1/trip_point_0_temp", 70000)

    assert read(later_s=60.0).zones[1].passive_c == 70.0


def test_cooling_devices_that_come_late_decide_within_a_minute(
    tmp_path: Path, clock: Clock
) -> None:
    """Until cpufreq's module is there nothing is tied; a sensor that gives way has not failed."""
    board = virtual_machine(tmp_path)
    marks = [("passive", 100000), ("critical", 120000)]
    board.zone(0, "sensor1-thermal", [("critical", 120000)])
    board.zone(1, "sensor3-thermal", marks)
    read = reader(tmp_path, clock)
    early = read()
    board.coolers("cpufreq-cpu0")
    board.tie(1, 0, cooler=0, trip=0)
    late = read(later_s=60.0)

    assert [(zone.name, zone.passive_c) for zone in early.zones] == [
        ("sensor1-thermal", 100.0),
        ("sensor3-thermal", 100.0),
    ]
    assert [(zone.name, zone.passive_c) for zone in late.zones] == [("sensor3-thermal", 100.0)]
    assert [read().faulty for _ in range(5)] == [()] * 5


def test_what_else_the_kernel_slows_the_processor_for_is_read(tmp_path: Path, clock: Clock) -> None:
    """And counts neither as a sensor of the processor nor, when it fails, as a failed one."""
    board = virtual_machine(tmp_path)
    board.coolers("cpufreq-cpu0")
    board.zone(0, "cpu-thermal", [("passive", 90000)], ties={0: 0})
    board.zone(1, "skin-temp-thermal", [("passive", 42000), ("critical", 60000)], ties={0: 0})
    read = reader(tmp_path, clock)
    readings = read()

    assert [zone.name for zone in readings.zones] == ["cpu-thermal"]
    assert readings.neighbours == (Neighbour("skin-temp-thermal", 45.0, 42.0, 60.0),)

    board.write("sys/class/thermal/thermal_zone1/temp", "none")
    readings = [read() for _ in range(5)][-1]
    assert (readings.neighbours, readings.faulty) == ((), ())
    board.write("sys/class/thermal/thermal_zone1/temp", 47000)
    assert [read() for _ in range(5)][-1].neighbours[0].temp_c == 47.0


def test_one_that_never_gave_a_reading_is_none(tmp_path: Path, clock: Clock) -> None:
    """As with any sensor."""
    board = virtual_machine(tmp_path)
    board.coolers("cpufreq-cpu0")
    board.zone(0, "skin-temp-thermal", [("passive", 42000)], ties={0: 0})
    board.write("sys/class/thermal/thermal_zone0/temp", -273150)

    assert reader(tmp_path, clock)().neighbours == ()


def test_a_driver_that_comes_back_is_looked_for_soon(tmp_path: Path, clock: Clock) -> None:
    """Under whatever number; until then the box counts as hot."""
    board = pi_5(tmp_path)
    read = reader(tmp_path, clock)
    read()
    board.remove(ZONE)
    board.remove("sys/class/hwmon/hwmon0")
    readings = [read() for _ in range(4)][-1]
    assert (readings.zones, readings.faulty) == ((), ("cpu-thermal",))

    board.zone(4, "cpu-thermal")
    readings = [read() for _ in range(8)][-1]
    assert [zone.name for zone in readings.zones] == ["cpu-thermal"]
    assert readings.faulty == ()


def test_a_sensor_that_gives_way_to_a_better_one_has_not_failed(
    tmp_path: Path, clock: Clock
) -> None:
    """Intel's zone counts until coretemp is loaded."""
    board = intel_nas(tmp_path)
    board.remove(CHIP)
    read = reader(tmp_path, clock)
    assert [zone.name for zone in read().zones] == ["x86_pkg_temp"]

    board.chip(4, "coretemp", temp1_input=46000, temp1_label="Package id 0", temp1_crit=105000)
    read(later_s=60.0)
    board.remove("sys/class/thermal/thermal_zone1")
    readings = [read() for _ in range(5)][-1]
    assert [zone.name for zone in readings.zones] == ["coretemp Package id 0"]
    assert readings.faulty == ()


def test_an_engine_that_was_started_again_has_not_worked_yet(tmp_path: Path, clock: Clock) -> None:
    """Its processor time starts from 0; nothing is made of the difference."""
    board = pi_5(tmp_path)
    pids = [7]
    probes = Probes(tmp_path, lambda: pids[0], clock)
    board.write("proc/7/stat", "7 (e) S" + " 0" * 10 + " 90000 0" + " 0" * 8 + " 1 0")
    assert probes.read().engine_rss_bytes is not None
    pids[0] = 8
    clock.now += 1.0

    assert probes.read().engine_rss_bytes is None


@pytest.mark.parametrize("make", MAKERS)
def test_every_source_is_described(make: Callable[[Path], Board], tmp_path: Path) -> None:
    """In words, and where there is a file, with its path."""
    make(tmp_path)
    found = Probes(tmp_path, lambda: None).describe()

    assert all(thing.what and thing.reads for thing in found)
    assert all(Path(thing.path).exists() for thing in found if thing.path)
    assert {"board", "clock", "firmware", "memory", "memory limit"} <= {f.what for f in found}


def test_a_sensor_that_has_gone_is_described(tmp_path: Path, clock: Clock) -> None:
    """Or nobody could tell why the box is slow."""
    board = pi_5(tmp_path)
    probes = Probes(tmp_path, lambda: None, clock)
    probes.read()
    board.remove(ZONE)
    board.remove("sys/class/hwmon/hwmon0")
    for _ in range(8):
        clock.now += 1.0
        probes.read()

    assert ("cpu-thermal", "has gone") in [(thing.what, thing.reads) for thing in probes.describe()]


def test_this_machine_can_be_read_and_described() -> None:
    """Whatever it is."""
    probes = Probes(Path("/"), os.getpid)
    readings = probes.read()

    assert readings.memory.total_bytes is not None
    assert readings.engine_rss_bytes is not None
    assert {found.what for found in probes.describe()} >= {"board", "memory", "engine"}


@pytest.mark.parametrize("make", MAKERS)
def test_a_reading_takes_a_fraction_of_a_millisecond(
    make: Callable[[Path], Board], tmp_path: Path
) -> None:
    """0.2 % of a core at one a second is 2 ms; benchmarks/monitor.py measures it."""
    make(tmp_path)
    probes = Probes(tmp_path, os.getpid)
    probes.read()
    before_s = time.thread_time()
    for _ in range(20):
        probes.read()

    assert (time.thread_time() - before_s) / 20 < 0.002
