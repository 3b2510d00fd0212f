"""Which board it is, what slows its processor, and what a chip of its own knows."""

from __future__ import annotations

import pytest

from inglenook.governor.sensors.board import (
    UNKNOWN,
    chip_limits,
    chosen_labels,
    is_cpu_cooler,
    recognise,
)


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
        ("heavy", True),
        ("TCC Offset", False),
        ("LCD", False),
        ("", False),
    ],
)
def test_what_slows_the_processor_down(kind: str, slows: bool) -> None:
    """A fan only makes noise."""
    assert is_cpu_cooler(kind) is slows


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
