"""A board is known by what it calls itself, its cores and its clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inglenook.models.board_identity import BoardIdentity, read_board

PI_5 = "Raspberry Pi 5 Model B Rev 1.0"
N100 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) N100\n"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_clocks(root: Path, clocks: list[str]) -> None:
    for core, clock in enumerate(clocks):
        write(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq", clock + "\n")


def test_a_board_with_a_device_tree_gives_its_name(tmp_path: Path) -> None:
    """A Pi's ``cpuinfo`` has no model name; the tree's strings end with a zero byte."""
    write(tmp_path, "proc/device-tree/model", PI_5 + "\0")
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd0b\n")
    write_clocks(tmp_path, ["2400000"] * 4)

    assert read_board(tmp_path, {0, 1, 2, 3}) == BoardIdentity(PI_5, 4, 2_400_000)


def test_a_pc_gives_its_processors_name(tmp_path: Path) -> None:
    """And the highest clock of those it may use."""
    write(tmp_path, "proc/cpuinfo", N100)
    write_clocks(tmp_path, ["3400000", "3300000", "5000000"])

    assert read_board(tmp_path, {0, 1}) == BoardIdentity("Intel(R) N100", 2, 3_400_000)


@pytest.mark.parametrize("clock", ["", "fast", "-1"])
def test_what_it_does_not_say_is_left_open(tmp_path: Path, clock: str) -> None:
    """A virtual machine without clocks is a board too."""
    write_clocks(tmp_path, [clock])

    assert read_board(tmp_path, {0}) == BoardIdentity("", 1, 0)


def test_this_machine_can_be_read() -> None:
    """The same every time."""
    board = read_board()

    assert board.cores == len(os.sched_getaffinity(0))
    assert board == read_board()
