"""Which cores are worth computing on. Kind: hands.

On big.LITTLE boards the little cores slow every matrix product down to their own pace: an RK3588
is twice as fast on its four big cores as on all eight (llama.cpp issue 7176).
"""

from __future__ import annotations

import os
from pathlib import Path


def compute_cores(root: Path = Path("/"), allowed: set[int] | None = None) -> set[int]:
    """The fastest kind of core among those this process may use.

    Args:
        root: Where ``/sys`` stands.
        allowed: Core numbers to choose from; None asks the kernel.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        speeds = {core: _read_number(root, core, name) for core in allowed}
        if all(speed > 0 for speed in speeds.values()):
            # Cores of one kind may differ by a turbo bin; little ones have half the speed or less.
            fast = 0.75 * max(speeds.values())
            return {core for core, speed in speeds.items() if speed >= fast}
    return allowed


def pin_to(cores: set[int]) -> None:
    """Keep this process, and the threads it will start, on these cores."""
    os.sched_setaffinity(0, cores)


def _read_number(root: Path, core: int, name: str) -> int:
    try:
        return int((root / f"sys/devices/system/cpu/cpu{core}" / name).read_text())
    except (OSError, ValueError):
        return 0
