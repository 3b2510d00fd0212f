"""Which cores are worth computing on. Kind: hands.

On big.LITTLE boards the little cores slow every matrix product down to their own pace: an RK3588
is twice as fast on its four big cores as on all eight (llama.cpp issue 7176).
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

# What to judge a core by, best first, and which share of the best makes it one of the same kind.
# Capacity knows the design: an RK3588's little cores have half of it. By clock alone they have
# three quarters (1.8 of 2.4 GHz); a PC's favoured cores are ahead of its others by a tenth at most.
_MEASURES = (("cpu_capacity", 0.75), ("cpufreq/cpuinfo_max_freq", 0.85))


def compute_cores(root: Path = Path("/"), allowed: set[int] | None = None) -> set[int]:
    """The fastest kind of core among those this process may use.

    Args:
        root: Where ``/sys`` stands.
        allowed: Core numbers to choose from; None asks the kernel.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    for name, kin in _MEASURES:
        speeds = {core: _read_number(root, core, name) for core in allowed}
        if all(speed > 0 for speed in speeds.values()):
            fastest = max(speeds.values())
            return {core for core, speed in speeds.items() if speed >= kin * fastest}
    return allowed


def allowed_cores() -> set[int]:
    """The cores that an engine process may use, as its parent may.

    Its own mask does not tell: once the library is loaded, OpenMP has given its first thread one
    core (see `inglenook.engine.environment`).
    """
    return os.sched_getaffinity(os.getppid())


def placement_order(root: Path = Path("/"), allowed: set[int] | None = None) -> list[int]:
    """Every core this process may use, in the order in which compute threads should have them.

    The fast ones first; of the siblings of a physical core (SMT) one of each before any second; and
    core 0 late, which serves a Raspberry Pi's interrupts.

    Args:
        root: Where ``/sys`` stands.
        allowed: Core numbers to choose from; None asks the kernel.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    fast = compute_cores(root, allowed)
    placed: Counter[str] = Counter()
    siblings_before = {}
    for core in sorted(allowed, reverse=True):
        physical = _siblings(root, core)
        siblings_before[core] = placed[physical]
        placed[physical] += 1
    return sorted(allowed, key=lambda core: (core not in fast, siblings_before[core], -core))


def pin_to(cores: set[int]) -> None:
    """Keep this thread, and what it will start, on these cores."""
    os.sched_setaffinity(0, cores)


def _siblings(root: Path, core: int) -> str:
    """The cores of the same physical core, as the kernel writes them."""
    # The second is what kernels before 5.3 call it.
    names = ("topology/core_cpus_list", "topology/thread_siblings_list")
    return next(filter(None, (_read_text(root, core, name) for name in names)), str(core))


def _read_number(root: Path, core: int, name: str) -> int:
    text = _read_text(root, core, name)
    return int(text) if text.isdecimal() else 0


def _read_text(root: Path, core: int, name: str) -> str:
    try:
        return (root / f"sys/devices/system/cpu/cpu{core}" / name).read_text().strip()
    except (OSError, ValueError):
        return ""
