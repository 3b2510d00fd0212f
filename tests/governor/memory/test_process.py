"""What a process takes is read from its one line."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from inglenook.governor.memory.process import ProcessUse, read_process

TICKS_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TAIL = "S 1 1 1 0 -1 4194560 9 0 0 0 {user} {system} 0 0 20 0 5 0 100 999 {resident} 18446744"


@pytest.mark.parametrize("name", ["python3", "a (strange) name", ") S 1"])
def test_the_name_may_be_anything(tmp_path: Path, name: str) -> None:
    """Brackets and spaces too."""
    folder = tmp_path / "proc/42"
    folder.mkdir(parents=True)
    tail = TAIL.format(user=3 * TICKS_S, system=TICKS_S, resident=10)
    (folder / "stat").write_text(f"42 ({name}) {tail}\n")

    assert read_process(tmp_path, 42) == ProcessUse(4.0, 10 * PAGE_BYTES)


def test_what_is_mapped_from_files_is_told_apart(tmp_path: Path) -> None:
    """The model's weights, most of all; shared memory is not of a file."""
    folder = tmp_path / "proc/42"
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"42 (python3) {TAIL.format(user=0, system=0, resident=10)}\n")
    (folder / "status").write_text("Name:\tpython3\nRssFile:\t   24 kB\nRssShmem:\t   8 kB\n")

    assert read_process(tmp_path, 42) == ProcessUse(0.0, 10 * PAGE_BYTES, 24 * 1024)


@pytest.mark.parametrize("text", ["", "42 (python3) S 1 1", "42"])
def test_a_process_that_is_gone_takes_nothing(tmp_path: Path, text: str) -> None:
    """Or whose line is cut short."""
    assert read_process(tmp_path, 42) is None
    (tmp_path / "proc/42").mkdir(parents=True)
    (tmp_path / "proc/42/stat").write_text(text)
    assert read_process(tmp_path, 42) is None


def test_this_process_is_read_right() -> None:
    """As somebody else reads it."""
    use = read_process(Path("/"), os.getpid())
    assert use is not None
    process = psutil.Process()
    times = process.cpu_times()

    assert use.rss_bytes == pytest.approx(process.memory_info().rss, rel=0.05)
    assert 0 < use.mapped_bytes < use.rss_bytes
    assert use.cpu_s == pytest.approx(times.user + times.system, abs=1.0)
