"""On boards with two kinds of cores, only the fast ones compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.cores import compute_cores, pin_to, placement_order

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
    assert compute_cores(tmp_path, {0, 1, 6}) == {6}


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
