"""Clocks, and the flags of a Raspberry Pi's firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.governor.readings import FirmwareFlags
from inglenook.governor.sensors.clock import (
    find_firmware,
    find_policies,
    read_firmware,
    read_freq_hz,
    read_freq_ratio,
)
from tests.parts.board import Board, pi_4, pi_5, rk3588_mainline, virtual_machine

BIG = "sys/devices/system/cpu/cpufreq/policy4"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
NONE = FirmwareFlags()


def test_the_cores_held_down_most_tell(tmp_path: Path) -> None:
    """The big cores of an RK3588 at 1.2 of 2.4 GHz; the little ones run as they like."""
    board = rk3588_mainline(tmp_path)
    policies = find_policies(tmp_path)
    assert read_freq_ratio(policies) == 1.0

    board.write(f"{BIG}/scaling_max_freq", 1200000)
    assert read_freq_ratio(policies) == 0.5


def test_the_fastest_cores_clock_is_the_clock(tmp_path: Path) -> None:
    """Whatever the others do."""
    board = rk3588_mainline(tmp_path)
    for policy in (0, 6):
        board.write(f"sys/devices/system/cpu/cpufreq/policy{policy}/scaling_cur_freq", 408000)

    assert read_freq_hz(find_policies(tmp_path)) == 2_400_000_000


def test_turbo_is_no_more_than_all(tmp_path: Path) -> None:
    """A driver may allow more than what it calls its most."""
    board = rk3588_mainline(tmp_path)
    for policy in (0, 4, 6):
        board.write(f"sys/devices/system/cpu/cpufreq/policy{policy}/scaling_max_freq", 9999999)

    assert read_freq_ratio(find_policies(tmp_path)) == 1.0


def test_cores_that_are_switched_off_do_not_count(tmp_path: Path) -> None:
    """Their files say `<unknown>`, or refuse."""
    board = rk3588_mainline(tmp_path)
    board.write(f"{BIG}/scaling_max_freq", "<unknown>")
    board.write(f"{BIG}/scaling_cur_freq", "<unknown>")
    board.write("sys/devices/system/cpu/cpufreq/policy6/cpuinfo_max_freq", 0)
    policies = find_policies(tmp_path)

    assert len(policies) == 2
    assert read_freq_ratio(policies) == 1.0
    assert read_freq_hz(policies) == 1_800_000_000


def test_without_cpufreq_nothing_is_known(tmp_path: Path) -> None:
    """As in most virtual machines."""
    virtual_machine(tmp_path)

    assert find_policies(tmp_path) == []
    assert read_freq_ratio([]) is None
    assert read_freq_hz([]) is None


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("0", NONE),
        ("1", FirmwareFlags(undervoltage=True)),
        ("2", FirmwareFlags(freq_capped=True)),
        ("4", FirmwareFlags(throttled=True)),
        ("8", FirmwareFlags(soft_limit=True)),
        ("f", FirmwareFlags(True, True, True, True)),
        ("50000", NONE),
        ("f0000", NONE),
        ("0x50005", FirmwareFlags(undervoltage=True, throttled=True)),
        ("E0006", FirmwareFlags(freq_capped=True, throttled=True)),
        ("", None),
        ("throttled=0x0", None),
    ],
)
def test_only_what_is_so_now_is_flagged(
    text: str, flags: FirmwareFlags | None, tmp_path: Path
) -> None:
    """Not what has been so since it was switched on."""
    board = pi_4(tmp_path)
    board.write(THROTTLED, text)
    path = find_firmware(tmp_path)

    assert path == str(tmp_path / THROTTLED)
    assert read_firmware(path) == flags


def by_driver(board: Board) -> str:
    """The same on every kernel, if it is shown."""
    board.write("sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled", "1")
    return "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled"


def by_device(_board: Board) -> str:
    """As a Pi 5 calls it."""
    return "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


def by_alarm(board: Board) -> str:
    """The voltage alarm is all that a kernel without Raspberry Pi's changes has."""
    board.remove(by_device(board))
    board.write("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1")  # somebody else's
    return "sys/class/hwmon/hwmon2/in0_lcrit_alarm"


@pytest.mark.parametrize("way", [by_driver, by_device, by_alarm])
def test_the_firmware_is_found(way: Callable[[Board], str], tmp_path: Path) -> None:
    """Wherever this kernel has it; 1 is a weak supply in all of them."""
    board = pi_5(tmp_path)
    expected = tmp_path / way(board)
    expected.write_text("1\n")
    path = find_firmware(tmp_path)

    assert path == str(expected)
    assert read_firmware(path) == FirmwareFlags(undervoltage=True)


def test_other_boards_have_no_such_firmware(tmp_path: Path) -> None:
    """None found, none asked."""
    rk3588_mainline(tmp_path)

    assert find_firmware(tmp_path) is None
