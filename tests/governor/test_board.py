"""What each board calls its processor's sensors, and where it slows down."""

from __future__ import annotations

import pytest

from inglenook.governor.board import (
    UNKNOWN,
    chip_limits,
    chosen_labels,
    is_cpu,
    is_cpu_cooler,
    recognise,
    trip_limits,
)
from inglenook.governor.sensor import Trip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("raspberrypi,5-model-b\0brcm,bcm2712", "Raspberry Pi 5"),
        ("Model\t\t: Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5"),
        ("raspberrypi,5-compute-module\0brcm,bcm2712", "Raspberry Pi 5"),
        ("raspberrypi,400\0brcm,bcm2711", "Raspberry Pi 4"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "Raspberry Pi"),
        ("xunlong,orangepi-5\0rockchip,rk3588s", "RK3588"),
        ("radxa,rock-5b\0rockchip,rk3588", "RK3588"),
        ("vendor_id\t: GenuineIntel", "Intel processor"),
        ("vendor_id\t: AuthenticAMD", "AMD processor"),
        ("hardkernel,odroid-n2\0amlogic,g12b", "unknown board"),
        ("", "unknown board"),
    ],
)
def test_a_board_is_recognised(text: str, name: str) -> None:
    """By its device tree, or by cpuinfo where a container hides that."""
    assert recognise(text).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("cpu-thermal", "cpu_thermal", "CPU-therm", "cpu0-thermal", "cpu-top-thermal"),
        *("soc-thermal", "soc_thermal", "package-thermal", "bigcore0-thermal"),
        *("littlecore-thermal", "cluster0-thermal", "x86_pkg_temp", "coretemp", "k10temp"),
    ],
)
def test_the_processors_sensors_are_known_by_name(name: str) -> None:
    """Of Raspberry Pi, Rockchip, Amlogic, Allwinner, Tegra, Qualcomm, Intel and AMD."""
    assert is_cpu(name)


@pytest.mark.parametrize(
    "name",
    [
        *("gpu-thermal", "npu-thermal", "center-thermal", "ddr_thermal", "acpitz", "pch_cometlake"),
        *("iwlwifi_1", "nvme", "drivetemp", "amdgpu", "BAT0", "rp1_adc", "r8169_0_300:00"),
        *("battery", "INT3400 Thermal", "socket-thermal", ""),
    ],
)
def test_other_sensors_are_not_the_processors(name: str) -> None:
    """Whatever they say, working slower would not help them."""
    assert not is_cpu(name)


@pytest.mark.parametrize(
    ("kind", "slows"),
    [
        ("cpufreq-cpu0", True),
        ("thermal-cpufreq-1", True),
        ("idle-cpu4", True),
        ("Processor", True),
        ("intel_powerclamp", True),
        ("pwm-fan", False),
        ("Fan", False),
        ("devfreq-fb000000.gpu", False),
        ("thermal-devfreq-0", False),
        ("TCC Offset", False),
        ("LCD", False),
        ("", False),
    ],
)
def test_what_slows_the_processor_down(kind: str, slows: bool) -> None:
    """A fan only makes noise."""
    assert is_cpu_cooler(kind) is slows


PI = recognise("bcm2712")
CRITICAL = Trip("critical", 115.0)


@pytest.mark.parametrize(
    ("policy", "trips", "limits"),
    [
        ("step_wise", [], (80.0, None)),
        ("step_wise", [CRITICAL], (80.0, 115.0)),
        ("step_wise", [Trip("critical", 82.0)], (77.0, 82.0)),
        ("step_wise", [Trip("active", 50.0), CRITICAL], (80.0, 115.0)),
        ("step_wise", [Trip("passive", 85.0, cools_cpu=True), CRITICAL], (85.0, 115.0)),
        ("step_wise", [Trip("passive", 75.0), Trip("passive", 85.0, cools_cpu=True)], (85.0, None)),
        (
            "power_allocator",
            [Trip("passive", 75.0), Trip("passive", 85.0, cools_cpu=True)],
            (75.0, None),
        ),
        ("step_wise", [Trip("passive", 85.0), Trip("passive", 75.0)], (75.0, None)),
        ("step_wise", [Trip("hot", 95.0), CRITICAL], (95.0, 115.0)),
        ("step_wise", [Trip("passive", -274.0), Trip("passive", 0.0)], (80.0, None)),
        ("step_wise", [Trip("critical", 2147483.6)], (80.0, None)),
    ],
)
def test_trip_points_say_where_the_clock_goes_down(
    policy: str, trips: list[Trip], limits: tuple[float, float | None]
) -> None:
    """The one a cooling device is tied to, or the first if the policy starts there."""
    assert trip_limits("cpu-thermal", policy, trips, PI)[:2] == limits


def test_marks_that_any_program_may_set_are_no_limit() -> None:
    """thermald sets those of Intel's package to be woken."""
    trips = [Trip("passive", 62.0)]

    assert trip_limits("x86_pkg_temp", "user_space", trips, UNKNOWN)[0] == 85.0


@pytest.mark.parametrize(
    ("crit_c", "offset_c", "passive_c"),
    [(105.0, 0.0, 105.0), (105.0, 5.0, 100.0), (None, 5.0, 85.0), (0.0, 0.0, 85.0), (300, 0, 85)],
)
def test_a_chip_knows_its_processors_limit(
    crit_c: float | None, offset_c: float, passive_c: float
) -> None:
    """Less what it has been told to stay below; else the board's."""
    assert chip_limits(crit_c, offset_c, UNKNOWN)[0] == passive_c


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        (["Core 0", "Core 1", "Package id 0"], ["Package id 0"]),
        (["Core 0", "Core 1"], ["Core 0", "Core 1"]),
        (["Tctl", "Tdie", "Tccd1"], ["Tdie"]),
        (["Tctl", "Tccd1"], ["Tctl"]),
        (["temp1"], ["temp1"]),
        ([], []),
    ],
)
def test_one_reading_stands_for_a_package(labels: list[str], chosen: list[str]) -> None:
    """The cores' only if there is none of the whole."""
    assert chosen_labels(labels) == chosen
