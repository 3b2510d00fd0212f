"""Which cores are worth computing on. Kind: hands.

On big.LITTLE boards the little cores slow every matrix product down to their own pace: an RK3588
is twice as fast on its four big cores as on all eight (llama.cpp issue 7176).
"""

from __future__ import annotations

import os
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


def pin_to(cores: set[int]) -> None:
    """Keep this process, and the threads it will start, on these cores."""
    os.sched_setaffinity(0, cores)


def _read_number(root: Path, core: int, name: str) -> int:
    try:
        return int((root / f"sys/devices/system/cpu/cpu{core}" / name).read_text())
    except (OSError, ValueError):
        return 0
