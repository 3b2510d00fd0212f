"""How much memory is to be had is read from the kernel, or not known."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from inglenook.governor.memory import read_mem_available_bytes


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

    assert read_mem_available_bytes(tmp_path) == available_bytes


def test_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    """A container may hide it."""
    assert read_mem_available_bytes(tmp_path) is None


def test_this_machine_has_some() -> None:
    """The real file is read as it is, and agrees with somebody else's reading of it."""
    available_bytes = read_mem_available_bytes(Path("/"))

    assert available_bytes is not None
    assert available_bytes == pytest.approx(psutil.virtual_memory().available, rel=0.2)
