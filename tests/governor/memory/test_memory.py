"""How much memory is to be had is read from the kernel, or not known."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from inglenook.governor.memory.cgroup import Group
from inglenook.governor.memory.memory import read_memory
from inglenook.governor.readings import MemoryReadings
from tests.parts.board import Board, virtual_machine


@pytest.mark.parametrize(
    ("meminfo", "available_bytes"),
    [
        ("MemTotal: 8 kB\nMemAvailable:    6789012 kB\nBuffers: 1 kB\n", 6_789_012 * 1024),
        ("MemAvailable: 0 kB\n", 0),
        ("MemTotal: 8 kB\nMemFree: 4 kB\n", None),
        ("MemAvailable:\n", None),
        ("MemAvailable: many kB\n", None),
        ("MemAvailable: -1 kB\n", None),
        ("", None),
    ],
)
def test_the_kernels_own_estimate_counts(
    tmp_path: Path, meminfo: str, available_bytes: int | None
) -> None:
    """What is merely free says little: the kernel gives its caches away when asked."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(meminfo)

    assert read_memory(tmp_path, []).available_bytes == available_bytes


def test_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    """A container may hide it."""
    assert read_memory(tmp_path, []).available_bytes is None


def test_this_machine_has_some() -> None:
    """The real file is read as it is, and agrees with somebody else's reading of it."""
    available_bytes = read_memory(Path("/"), []).available_bytes

    assert available_bytes is not None
    assert available_bytes == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def grouped(board: Board, pressure: str) -> list[Group]:
    """A control group with a limit, that has its own pressure."""
    files = {"memory.max": "2000", "memory.current": "500", "memory.pressure": pressure}
    for name, text in files.items():
        board.write(f"sys/fs/cgroup/{name}", text)
    return [Group(str(board.root / "sys/fs/cgroup"), 2)]


def test_all_of_memory_is_read(tmp_path: Path) -> None:
    """In bytes; what is called kB is KiB."""
    board = virtual_machine(tmp_path)

    assert read_memory(tmp_path, grouped(board, "")) == MemoryReadings(
        total_bytes=8245392 * 1024,
        available_bytes=6291456 * 1024,
        swap_total_bytes=524288 * 1024,
        swap_free_bytes=524288 * 1024,
        limit_bytes=2000,
        used_bytes=500,
        psi_some_avg10=0.0,
        psi_full_avg10=0.0,
    )


def test_without_any_file_nothing_is_known_of_memory(tmp_path: Path) -> None:
    """And nothing is made up."""
    assert read_memory(tmp_path, []) == MemoryReadings()


@pytest.mark.parametrize(
    ("box", "group", "some", "full"),
    [
        ("some avg10=1.50 avg60=0.00\nfull avg10=0.25 avg60=0.00", "", 1.5, 0.25),
        (
            "some avg10=1.50 avg60=9.00\nfull avg10=0.25 avg60=0.00",
            "some avg10=40.00 avg60=0.00\nfull avg10=0.10 avg60=0.00",
            40.0,
            0.25,
        ),
        ("some avg10=100.00 avg60=0.00", "", 100.0, None),
        ("", "some avg10=2.00 avg60=0.00", 2.0, None),
        ("some avg10=much avg60=0.00", "full avg10=-1.00 avg60=0.00", None, None),
        ("", "", None, None),
    ],
)
def test_the_greater_pressure_counts(
    tmp_path: Path, box: str, group: str, some: float | None, full: float | None
) -> None:
    """A full group in an empty box hardly shows in the box's numbers."""
    board = virtual_machine(tmp_path)
    board.write("proc/pressure/memory", box)
    memory = read_memory(tmp_path, grouped(board, group))

    assert (memory.psi_some_avg10, memory.psi_full_avg10) == (some, full)
