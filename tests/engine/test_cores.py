"""On boards with two kinds of cores, only the fast ones compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.corechoice import CoreRule
from inglenook.engine.cores import choose_cores, compute_cores, pin_to, placement_order
from tests.parts.socs import Soc, read_socs

CAPACITY = "cpu_capacity"
FREQUENCY = "cpufreq/cpuinfo_max_freq"


def write(root: Path, name: str, values: dict[int, str]) -> None:
    """Lay a file of ``/sys`` out for some cores."""
    for core, value in values.items():
        path = root / f"sys/devices/system/cpu/cpu{core}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")


def test_an_rk3588_computes_on_its_big_cores(tmp_path: Path) -> None:
    """Four A55, four A76, as its device tree gives them."""
    write(tmp_path, CAPACITY, dict.fromkeys(range(4), "530") | dict.fromkeys(range(4, 8), "1024"))

    assert compute_cores(tmp_path, set(range(8))) == {4, 5, 6, 7}


def test_without_capacities_the_frequencies_tell(tmp_path: Path) -> None:
    """An RK3588 again: its two big clusters differ by a bin, the little one by a quarter."""
    frequencies = dict.fromkeys(range(4), "1800000")
    frequencies |= {4: "2352000", 5: "2352000", 6: "2304000", 7: "2304000"}
    write(tmp_path, FREQUENCY, frequencies)

    assert compute_cores(tmp_path, set(range(8))) == {4, 5, 6, 7}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (CAPACITY, dict.fromkeys(range(4), "1024")),
        (FREQUENCY, dict.fromkeys(range(4), "2400000")),
    ],
)
def test_a_pi_5_computes_on_all_four(tmp_path: Path, name: str, values: dict[int, str]) -> None:
    """Four equal cores."""
    write(tmp_path, name, values)
    assert compute_cores(tmp_path, {0, 1, 2, 3}) == {0, 1, 2, 3}


def test_a_pc_with_turbo_bins_computes_on_all(tmp_path: Path) -> None:
    """Favoured cores are a few percent faster; that is no other kind."""
    write(tmp_path, FREQUENCY, {0: "4700000", 1: "4700000", 2: "4500000", 3: "4400000"})
    assert compute_cores(tmp_path, {0, 1, 2, 3}) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "values",
    [{}, {0: "1024"}, {0: "1024", 1: "much"}, {0: "1024", 1: ""}, {0: "0", 1: "0"}],
)
def test_what_cannot_be_read_for_all_decides_nothing(
    tmp_path: Path, values: dict[int, str]
) -> None:
    """A virtual machine, a container without /sys: all cores the kernel allows."""
    write(tmp_path, CAPACITY, values)
    assert compute_cores(tmp_path, {0, 1}) == {0, 1}


def test_only_allowed_cores_are_looked_at(tmp_path: Path) -> None:
    """A service confined to the little cores computes on those."""
    write(tmp_path, CAPACITY, dict.fromkeys(range(4), "530") | dict.fromkeys(range(4, 8), "1024"))
    assert compute_cores(tmp_path, {0, 1}) == {0, 1}
    assert compute_cores(tmp_path, {0, 1, 6, 7}) == {6, 7}


def test_one_fast_core_is_not_left_alone(tmp_path: Path) -> None:
    """Confined to two little cores and a big one, all three compute."""
    write(tmp_path, CAPACITY, dict.fromkeys(range(4), "530") | dict.fromkeys(range(4, 8), "1024"))

    assert compute_cores(tmp_path, {0, 1, 6}) == {0, 1, 6}
    assert compute_cores(tmp_path, {6}) == {6}


RULES = {
    "alike": CoreRule.ALIKE,
    "capacity": CoreRule.CAPACITY,
    "capacity-more": CoreRule.CAPACITY_MORE,
    "design": CoreRule.DESIGN,
    "together": CoreRule.TOGETHER,
}
SOCS = [soc for soc in read_socs() if soc.cores]


@pytest.mark.parametrize("soc", SOCS, ids=lambda soc: f"{soc.name} {soc.about}".strip())
def test_real_boards_compute_on_the_right_cores(soc: Soc, tmp_path: Path) -> None:
    """By the rule that is right for them; the table is ``tests/parts/socs.txt``."""
    soc.lay_out(tmp_path)
    choice = choose_cores(tmp_path, set(range(sum(cores.count for cores in soc.cores))))
    run, rule = soc.computing.split()
    first, last = map(int, run.split("-"))

    assert choice.cores == set(range(first, last + 1))
    assert choice.rule is RULES[rule]


@pytest.mark.parametrize(
    "soc",
    [soc for soc in SOCS if all(cores.design != "denver" for cores in soc.cores)],
    ids=lambda soc: f"{soc.name} {soc.about}".strip(),
)
def test_without_a_register_cpuinfo_tells_the_design(soc: Soc, tmp_path: Path) -> None:
    """As on 32-bit Arm: the same cores are chosen."""
    board = soc.lay_out(tmp_path)
    registers = sorted(tmp_path.glob("sys/devices/system/cpu/cpu*/regs/identification/midr_el1"))
    blocks = []
    for register in registers:
        midr = int(register.read_text(), 16)
        number = register.parts[-4].removeprefix("cpu")
        lines = (
            f"processor\t: {number}",
            "BogoMIPS\t: 48.00",
            f"CPU implementer\t: 0x{midr >> 24:02x}",
            f"CPU part\t: 0x{midr >> 4 & 0xFFF:03x}",
        )
        blocks.append("\n".join(lines))
        register.unlink()
    board.write("proc/cpuinfo", "\n\n".join([*blocks, "Hardware\t: a board"]))
    numbers = set(range(sum(cores.count for cores in soc.cores)))
    first, last = map(int, soc.computing.split()[0].split("-"))

    assert compute_cores(tmp_path, numbers) == set(range(first, last + 1))


@pytest.mark.parametrize("text", ["", "0x", "-1", "0x00000000411fd07", "ffff"])
def test_a_register_that_says_nothing_is_passed_over(tmp_path: Path, text: str) -> None:
    """As is cpuinfo of a PC."""
    write(tmp_path, CAPACITY, dict.fromkeys(range(4), "1024"))
    write(tmp_path, "regs/identification/midr_el1", {0: text} | dict.fromkeys(range(1, 4), "0x0"))
    cpuinfo = tmp_path / "proc/cpuinfo"
    cpuinfo.parent.mkdir()
    cpuinfo.write_text("processor\t: 0\nvendor_id\t: GenuineIntel\n\nprocessor\t: x\n")

    assert compute_cores(tmp_path, set(range(4))) == {0, 1, 2, 3}


def test_more_threads_than_big_cores_go_on_to_the_others(tmp_path: Path) -> None:
    """Where all are worth it, fewer threads have the fast ones, whatever their numbers."""
    write(tmp_path, CAPACITY, {0: "1024", 1: "1024"} | dict.fromkeys(range(2, 6), "578"))

    assert compute_cores(tmp_path, set(range(6))) == set(range(6))
    assert placement_order(tmp_path, set(range(6))) == [1, 0, 5, 4, 3, 2]


def test_threads_are_placed_on_fast_cores_first(tmp_path: Path) -> None:
    """More threads than there are fast cores go on to the slow ones."""
    write(tmp_path, CAPACITY, dict.fromkeys(range(4), "530") | dict.fromkeys(range(4, 8), "1024"))

    assert placement_order(tmp_path, set(range(8))) == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("name", "siblings", "order"),
    [
        ("core_cpus_list", {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [3, 1, 2, 0]),
        ("core_cpus_list", {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [3, 2, 1, 0]),
        ("thread_siblings_list", {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [3, 1, 2, 0]),
        ("core_cpus_list", {}, [3, 2, 1, 0]),
    ],
)
def test_two_threads_have_two_physical_cores(
    tmp_path: Path, name: str, siblings: dict[int, str], order: list[int]
) -> None:
    """Where one counts as two (SMT), however they are numbered, and for older kernels too."""
    write(tmp_path, f"topology/{name}", siblings)

    assert placement_order(tmp_path, set(range(4))) == order


@pytest.fixture
def unpinned() -> Iterator[set[int]]:
    before = os.sched_getaffinity(0)
    yield before
    os.sched_setaffinity(0, before)


def test_pinning_is_what_the_kernel_then_says(unpinned: set[int]) -> None:
    """And what a later look for cores starts from."""
    one = {min(unpinned)}
    pin_to(one)
    assert os.sched_getaffinity(0) == one
    assert compute_cores() == one
