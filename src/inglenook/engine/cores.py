"""Which cores are worth computing on. Kind: hands.

On big.LITTLE boards the little cores slow every matrix product down to their own pace: an RK3588
is twice as fast on its four big cores as on all eight (llama.cpp issue 7176).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from pathlib import Path

from inglenook.engine.corechoice import Core, CoreChoice, choose


def compute_cores(root: Path = Path("/"), allowed: set[int] | None = None) -> set[int]:
    """Those that are worth computing on, among those this process may use.

    Args:
        root: Where ``/sys`` and ``/proc`` stand.
        allowed: Core numbers to choose from; None asks the kernel.
    """
    return set(choose_cores(root, allowed).cores)


def choose_cores(root: Path = Path("/"), allowed: set[int] | None = None) -> CoreChoice:
    """As `compute_cores`, with the rule by which they were chosen."""
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    told = _designs_of_cpuinfo(root)
    return choose(
        [
            Core(
                core,
                _read_number(root, core, "cpu_capacity"),
                _read_number(root, core, "cpufreq/cpuinfo_max_freq"),
                _design(root, core) or told.get(core),
            )
            for core in sorted(allowed)
        ]
    )


def allowed_cores() -> set[int]:
    """The cores that an engine process may use, as its parent may.

    Its own mask does not tell: once the library is loaded, OpenMP has given its first thread one
    core (see `inglenook.engine.environment`).
    """
    return os.sched_getaffinity(os.getppid())


def placement_order(root: Path = Path("/"), allowed: set[int] | None = None) -> list[int]:
    """Every core this process may use, in the order in which compute threads should have them.

    Those worth computing on first; of the siblings of a physical core (SMT) one of each before any
    second; the fastest kind before others; and core 0 late, which serves a Raspberry Pi's
    interrupts.

    Args:
        root: Where ``/sys`` stands.
        allowed: Core numbers to choose from; None asks the kernel.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    choice = choose_cores(root, allowed)
    placed: Counter[str] = Counter()
    siblings_before = {}
    for core in sorted(allowed, reverse=True):
        physical = _siblings(root, core)
        siblings_before[core] = placed[physical]
        placed[physical] += 1

    def place(core: int) -> tuple[bool, int, bool, int]:
        return core not in choice.cores, siblings_before[core], core not in choice.fastest, -core

    return sorted(allowed, key=place)


def pin_to(cores: set[int]) -> None:
    """Keep this thread, and what it will start, on these cores."""
    os.sched_setaffinity(0, cores)


def _siblings(root: Path, core: int) -> str:
    """The cores of the same physical core, as the kernel writes them."""
    # The second is what kernels before 5.3 call it.
    names = ("topology/core_cpus_list", "topology/thread_siblings_list")
    return next(filter(None, (_read_text(root, core, name) for name in names)), str(core))


def _design(root: Path, core: int) -> tuple[int, int] | None:
    """Implementer and part number of an Arm core: bits 31 to 24 and 15 to 4 of its id register."""
    text = _read_text(root, core, "regs/identification/midr_el1")
    midr = int(text, 16) if re.fullmatch("0x[0-9a-f]{1,16}", text) else 0
    return ((midr >> 24) & 0xFF, (midr >> 4) & 0xFFF) if midr else None


def _designs_of_cpuinfo(root: Path) -> dict[int, tuple[int, int]]:
    """The same where the kernel has no such files, as on 32-bit Arm."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    designs = {}
    for block in text.split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        said = {key.strip(): value.strip() for key, _, value in pairs}
        with contextlib.suppress(KeyError, ValueError):
            implementer, part = int(said["CPU implementer"], 16), int(said["CPU part"], 16)
            designs[int(said["processor"])] = implementer, part
    return designs


def _read_number(root: Path, core: int, name: str) -> int:
    text = _read_text(root, core, name)
    return int(text) if text.isdecimal() else 0


def _read_text(root: Path, core: int, name: str) -> str:
    try:
        return (root / f"sys/devices/system/cpu/cpu{core}" / name).read_text().strip()
    except (OSError, ValueError):
        return ""
