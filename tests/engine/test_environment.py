"""Where an engine's threads are told to run."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from inglenook.engine.cores import placement_order
from inglenook.engine.environment import engine_environment


def test_each_compute_thread_has_a_core_of_its_own() -> None:
    """The fast ones first; all else is as it is here."""
    environment = engine_environment({"SOMETHING_ELSE": "kept"}, Path("/none"))

    places = ",".join(f"{{{core}}}" for core in placement_order())
    assert environment == {
        "SOMETHING_ELSE": "kept",
        "OMP_PLACES": places,
        "OMP_PROC_BIND": "close",
    }


@pytest.mark.parametrize(
    "said",
    [{"OMP_PROC_BIND": "false"}, {"OMP_PLACES": "sockets"}, {"GOMP_CPU_AFFINITY": "0-3"}],
)
def test_whoever_has_said_where_threads_run_is_obeyed(said: Mapping[str, str]) -> None:
    """An admin who knows the board better."""
    assert engine_environment(said, Path("/none")) == said


def test_without_being_told_it_is_this_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the engine inherits otherwise, too."""
    monkeypatch.setenv("SOMETHING_ELSE", "kept")

    assert engine_environment().items() >= dict(os.environ).items()


@pytest.mark.parametrize(
    ("enabled", "page_bytes", "asked"),
    [
        ("always [madvise] never", "2097152", True),
        ("[always] madvise never", "2097152", False),
        ("always madvise [never]", "2097152", False),
        ("always [madvise] never", "33554432", False),
        ("always [madvise] never", "", False),
    ],
)
def test_huge_pages_are_asked_for_where_that_helps(
    tmp_path: Path, enabled: str, page_bytes: str, *, asked: bool
) -> None:
    """Not where everybody has them or nobody can; not where one has 32 MiB, as on a Pi 5."""
    (tmp_path / "enabled").write_text(enabled + "\n")
    (tmp_path / "hpage_pmd_size").write_text(page_bytes + "\n")

    assert ("GLIBC_TUNABLES" in engine_environment({}, tmp_path)) == asked


def test_an_admin_s_own_word_to_the_c_library_stays(tmp_path: Path) -> None:
    """It may be there for a reason, and there is but one such variable."""
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    said = {"GLIBC_TUNABLES": "glibc.malloc.check=3"}

    assert engine_environment(said, tmp_path)["GLIBC_TUNABLES"] == "glibc.malloc.check=3"


_FILL = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ctypes.memset(libc.malloc(ctypes.c_size_t(64 << 20)), 1, 64 << 20)
smaps = open("/proc/self/smaps_rollup").read()
print(next(line.split()[1] for line in smaps.splitlines() if line.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(
    "GLIBC_TUNABLES" not in engine_environment({}),
    reason="this kernel gives huge pages to everybody, to nobody, or very large ones",
)
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="not the GNU C library"
)
def test_a_process_with_it_has_its_large_memory_in_huge_pages() -> None:
    """Most of 64 MiB, unless memory is in pieces; without it, nothing."""
    kib = [
        int(subprocess.check_output([sys.executable, "-c", _FILL], env=environment, timeout=60))
        for environment in (engine_environment({}), {})
    ]

    assert kib[0] > 0
    assert kib[1] == 0
