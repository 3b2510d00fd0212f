"""Identity of this board, for measurements of its speed. Kind: hands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BoardIdentity:
    """Facts on which a board's speed depends.

    Attributes:
        cpu: Model of the board, or else of its processor; empty if unknown.
        cores: Number of cores this process may use.
        max_khz: The highest clock of any of them; 0 if unknown, as in a virtual machine.
    """

    cpu: str
    cores: int
    max_khz: int


def read_board(root: Path = Path("/"), allowed: set[int] | None = None) -> BoardIdentity:
    """Read the board's facts. Blocks for a few reads of ``/sys`` and ``/proc``.

    Args:
        root: Folder of ``/sys`` and ``/proc``.
        allowed: Core numbers that may be used; None asks the kernel.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    clocks = (
        _read(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq")
        for core in allowed
    )
    return BoardIdentity(
        cpu=_read(root / "proc/device-tree/model") or _processor(root),
        cores=len(allowed),
        max_khz=max((int(clock) for clock in clocks if clock.isdecimal()), default=0),
    )


def _processor(root: Path) -> str:
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return ""


def _read(path: Path) -> str:
    try:
        # A device tree's strings end with a zero byte.
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
