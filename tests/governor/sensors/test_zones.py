"""Which sensors each board has, and which of them count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.governor.sensors.zones import (
    find_board,
    find_coolers,
    find_sensors,
    is_turned_on,
    peek,
    read_temp_c,
)
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

ZONE = "sys/class/thermal/thermal_zone0"


def limits(root: Path) -> dict[str, float]:
    """Where the sensors that count say the board slows down."""
    sensors = find_sensors(root, find_board(root))
    return {sensor.name: sensor.passive_c for sensor in sensors if sensor.counts}


@pytest.mark.parametrize(
    ("make", "name", "passive_c"),
    [
        (pi_4, "Raspberry Pi 4", {"cpu-thermal": 80}),
        (pi_5, "Raspberry Pi 5", {"cpu-thermal": 80}),
        (
            rk3588_mainline,
            "RK3588",
            {
                "package-thermal": 85,
                "bigcore0-thermal": 85,
                "bigcore2-thermal": 85,
                "littlecore-thermal": 85,
            },
        ),
        (
            rk3588_vendor,
            "RK3588",
            {
                "soc-thermal": 75,
                "bigcore0-thermal": 75,
                "bigcore1-thermal": 75,
                "littlecore-thermal": 75,
            },
        ),
        (intel_nas, "Intel processor", {"coretemp Package id 0": 100}),
        (amd_nas, "AMD processor", {"k10temp Tdie": 85}),
        (virtual_machine, "unknown board", {}),
    ],
)
def test_a_boards_processor_has_these_sensors(
    make: Callable[[Path], Board], name: str, passive_c: dict[str, float], tmp_path: Path
) -> None:
    """And no other counts: no disk, radio, graphics part or fan."""
    make(tmp_path)

    assert find_board(tmp_path).name == name
    assert limits(tmp_path) == passive_c


@pytest.mark.parametrize("make", [pi_5, rk3588_mainline, rk3588_vendor, intel_nas, amd_nas])
def test_every_sensor_has_a_name_of_its_own(make: Callable[[Path], Board], tmp_path: Path) -> None:
    """And says why it counts, or why not."""
    make(tmp_path)
    sensors = find_sensors(tmp_path, find_board(tmp_path))

    assert len({sensor.name for sensor in sensors}) == len(sensors) > 0
    assert all(sensor.why for sensor in sensors)


def test_without_its_zone_a_chip_counts(tmp_path: Path) -> None:
    """A container may be shown one folder and not the other."""
    board = pi_5(tmp_path)
    board.remove(ZONE)

    assert limits(tmp_path) == {"cpu_thermal temp1": 80}


def test_without_its_chip_intels_zone_counts(tmp_path: Path) -> None:
    """coretemp is a module that may not be loaded."""
    board = intel_nas(tmp_path)
    board.remove("sys/class/hwmon/hwmon4")

    assert limits(tmp_path) == {"x86_pkg_temp": 85}


def test_a_board_is_recognised_without_its_device_tree(tmp_path: Path) -> None:
    """Docker hides it."""
    board = pi_5(tmp_path)
    board.remove("proc/device-tree")

    assert find_board(tmp_path).name == "Raspberry Pi 5"


def test_a_disabled_zone_counts_and_says_so(tmp_path: Path) -> None:
    """Nobody else watches it."""
    board = pi_5(tmp_path)
    board.write(f"{ZONE}/mode", "disabled")
    sensor = find_sensors(tmp_path, find_board(tmp_path))[0]

    assert sensor.counts
    assert "disabled" in sensor.source


def test_only_a_tie_to_a_cooler_of_the_processor_makes_a_limit(tmp_path: Path) -> None:
    """At 60 °C a fan starts; at 70 °C the clock goes down."""
    board = virtual_machine(tmp_path)
    board.coolers("pwm-fan", "cpufreq-cpu0")
    board.zone(0, "cpu-thermal", [("passive", 60000), ("passive", 70000)], ties={0: 0, 1: 1})

    assert limits(tmp_path) == {"cpu-thermal": 70}


def test_fan_and_clock_may_be_tied_to_one_trip_point(tmp_path: Path) -> None:
    """In either order; an Exynos 4 has both at 95 °C."""
    for number, kinds in enumerate([("pwm-fan", "cpufreq-cpu0"), ("cpufreq-cpu0", "pwm-fan")]):
        board = virtual_machine(tmp_path / str(number))
        board.coolers(*kinds)
        board.zone(0, "cpu-thermal", [("active", 95000)], ties={0: 0, 1: 0})

        assert limits(board.root) == {"cpu-thermal": 95}


def test_a_zones_chip_is_not_counted_where_the_zone_is_not(tmp_path: Path) -> None:
    """Its name may say less than the zone's ties do."""
    board = virtual_machine(tmp_path)
    board.coolers("cpufreq-cpu0")
    board.zone(0, "a55-thermal", [("passive", 105000)], ties={0: 0})
    board.zone(1, "pf53soc-thermal", [("passive", 140000)])
    board.chip(0, "a55_thermal", temp1_input=45000)
    board.chip(1, "pf53soc_thermal", temp1_input=45000)

    assert limits(tmp_path) == {"a55-thermal": 105}


def test_a_zone_does_not_stand_in_for_a_processors_chip(tmp_path: Path) -> None:
    """On a PC a zone may be of anything."""
    board = amd_nas(tmp_path)
    board.zone(0, "SEN1")

    assert limits(tmp_path) == {"k10temp Tdie": 85}


def test_temperatures_are_read_in_degrees(tmp_path: Path) -> None:
    """What the kernel gives is thousandths."""
    board = pi_5(tmp_path)
    board.heat(61.7)
    sensor = find_sensors(tmp_path, find_board(tmp_path))[0]

    assert read_temp_c(sensor) == pytest.approx(61.7)
    assert peek(sensor) == "61.7 °C"


def test_why_a_sensor_says_nothing_is_told(tmp_path: Path) -> None:
    """In the kernel's words, or its own."""
    board = pi_5(tmp_path)
    sensor = find_sensors(tmp_path, find_board(tmp_path))[0]
    board.write(f"{ZONE}/temp", "n/a")
    assert peek(sensor) == "not a number: 'n/a'"
    board.remove(f"{ZONE}/temp")
    assert peek(sensor) == "No such file or directory"
    assert read_temp_c(sensor) is None


def test_cooling_devices_are_on_or_off(tmp_path: Path) -> None:
    """Intel's powerclamp says -1 when it is off."""
    board = intel_nas(tmp_path)
    board.write("sys/class/thermal/cooling_device2/cur_state", 3)
    board.write("sys/class/thermal/cooling_device3/cur_state", "?")
    coolers = find_coolers(tmp_path)

    assert [cooler.name for cooler in coolers if is_turned_on(cooler)] == [
        "Processor",
        "TCC Offset",
    ]
    assert [cooler.name for cooler in coolers if not cooler.counts] == ["TCC Offset"]


def test_zones_beyond_nine_come_in_their_order(tmp_path: Path) -> None:
    """Phones' chips have dozens."""
    board = virtual_machine(tmp_path)
    for number in (10, 2, 0):
        board.zone(number, "cpu-thermal")
    names = [sensor.name for sensor in find_sensors(tmp_path, find_board(tmp_path))]

    assert names == ["cpu-thermal", "cpu-thermal (thermal_zone2)", "cpu-thermal (thermal_zone10)"]


def test_what_is_half_there_is_passed_over(tmp_path: Path) -> None:
    """A zone without a type, a chip without a name, a trip point without a number."""
    board = pi_5(tmp_path)
    board.write("sys/class/thermal/thermal_zone1/temp", 99000)
    board.write("sys/class/hwmon/hwmon9/temp1_input", 99000)
    board.write(f"{ZONE}/trip_point_9_temp", "soon")

    assert limits(tmp_path) == {"cpu-thermal": 80}
