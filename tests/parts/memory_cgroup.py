"""A memory control group that a test makes, limits and fills; needs root. Version 1 or 2."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What was in it is dying; the kernel takes a moment to let go of it.
EMPTY_S = 60.0

_EVERY_S = 0.02

_ROOT = Path("/sys/fs/cgroup")

#: Enters a control group, and then becomes another program.
_JOIN = 'echo $$ > "$0" && exec "$@"'

#: Takes so many bytes, a MiB at a time and in so many seconds, and keeps them.
_HOG = """
import signal, sys, time
taken = []
for _ in range(int(sys.argv[1]) // 2**20):
    taken.append(bytearray(b"x") * 2**20)
    time.sleep(float(sys.argv[2]))
signal.pause()
"""


class MemoryGroup:
    """One control group directly below the root of all. `memory_group` makes it."""

    def __init__(self, folder: Path, *, unified: bool) -> None:
        self.folder = folder
        self._unified = unified
        self._limit = "memory.max" if unified else "memory.limit_in_bytes"
        self._used = "memory.current" if unified else "memory.usage_in_bytes"
        self._events = "memory.events" if unified else "memory.oom_control"
        # What version 1 counts without `total_` is the group's own, without those below it.
        self._total = "" if unified else "total_"
        self._endless = "max" if unified else "-1"

    @property
    def through(self) -> tuple[str, ...]:
        """Words before a command that is to be in here, with all its children, from the start."""
        return ("sh", "-euc", _JOIN, str(self.folder / "cgroup.procs"))

    def keep_from_swap(self) -> None:
        """What does not fit is not to be put where the limit does not count it."""
        name = "memory.swap.max" if self._unified else "memory.swappiness"
        # Missing where the kernel has no swap.
        if (self.folder / name).exists():
            self._write(name, "0")

    def limit(self, limit_bytes: int | None) -> None:
        """Allow so much and no more; None lifts the limit."""
        self._write(self._limit, self._endless if limit_bytes is None else str(limit_bytes))

    @property
    def anonymous_bytes(self) -> int:
        """What is in no file, so that only an end or a `free` brings it back."""
        return self._table("memory.stat")["anon" if self._unified else "total_rss"]

    @property
    def needed_bytes(self) -> int:
        """What is in use, less the file cache that nobody has mapped."""
        table = self._table("memory.stat")
        cached_bytes = sum(table[f"{self._total}{kind}_file"] for kind in ("active", "inactive"))
        mapped_bytes = table["file_mapped" if self._unified else "total_mapped_file"]
        used_bytes = int((self.folder / self._used).read_text())
        return used_bytes - max(0, cached_bytes - mapped_bytes)

    @property
    def oom_kills(self) -> int:
        """How many processes in here the kernel has killed for memory."""
        return self._table(self._events)["oom_kill"]

    @contextmanager
    def hog(self, size_bytes: int, mib_s: float) -> Iterator[subprocess.Popen[bytes]]:
        """Have a program in here that takes memory at this rate; the block's end ends it."""
        words = (*self.through, sys.executable, "-c", _HOG, str(size_bytes), str(1 / mib_s))
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def remove(self) -> None:
        """Remove it, once everybody in it has gone."""
        deadline_s = time.monotonic() + EMPTY_S
        while (self.folder / "cgroup.procs").read_text():
            assert time.monotonic() < deadline_s, f"processes left behind in {self.folder}"
            time.sleep(_EVERY_S)
        self.folder.rmdir()

    def _table(self, name: str) -> dict[str, int]:
        lines = (self.folder / name).read_text().splitlines()
        return {word: int(number) for word, number in (line.split() for line in lines)}

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """Make a control group; everybody in it must have gone at the end of the block."""
    unified = (_ROOT / "cgroup.controllers").exists()
    if unified:
        (_ROOT / "cgroup.subtree_control").write_text("+memory")
    folder = (_ROOT if unified else _ROOT / "memory") / f"inglenook-test-{os.getpid()}"
    folder.mkdir()
    group = MemoryGroup(folder, unified=unified)
    group.keep_from_swap()
    try:
        yield group
    finally:
        group.limit(None)
        group.remove()
