"""Reads how much memory there is, is left, and is waited for. Kind: hands."""

from __future__ import annotations

import re
from pathlib import Path

from inglenook.governor.memory.cgroup import Group, read_oom_kills, read_tightest
from inglenook.governor.readings import MemoryReadings
from inglenook.governor.sensors.files import parse_table, text_of

_PRESSURE = re.compile(r"^(some|full) avg10=(\d{1,3}\.\d\d) ", re.MULTILINE)


def read_memory(root: Path, groups: list[Group]) -> MemoryReadings:
    """Read all there is to know about memory.

    Args:
        root: Where ``proc`` stands.
        groups: The control groups this process is in.
    """
    meminfo = _read_meminfo(root)
    tightest = read_tightest(groups)
    pressures = [_read_pressure(root / "proc/pressure/memory")]
    if tightest is not None:
        # A full group in an empty box waits too, and the box's own numbers hardly show it.
        pressures.append(_read_pressure(Path(tightest.group.folder, "memory.pressure")))
    return MemoryReadings(
        total_bytes=meminfo.get("MemTotal"),
        available_bytes=meminfo.get("MemAvailable"),
        swap_total_bytes=meminfo.get("SwapTotal"),
        swap_free_bytes=meminfo.get("SwapFree"),
        limit_bytes=tightest.limit_bytes if tightest else None,
        used_bytes=tightest.used_bytes if tightest else None,
        psi_some_avg10=_most(pressures, "some"),
        psi_full_avg10=_most(pressures, "full"),
        oom_kills=read_oom_kills(groups),
    )


def _read_meminfo(root: Path) -> dict[str, int]:
    # "kB" there means KiB (Linux, Documentation/filesystems/proc.rst).
    table = parse_table(text_of(root / "proc/meminfo"))
    return {name: kib * 1024 for name, kib in table.items() if kib >= 0}


def _read_pressure(path: Path) -> dict[str, float]:
    # Missing before Linux 4.20, and with `psi=0`, the default of many boards' kernels.
    return {name: float(percent) for name, percent in _PRESSURE.findall(text_of(path))}


def _most(pressures: list[dict[str, float]], name: str) -> float | None:
    return max((pressure[name] for pressure in pressures if name in pressure), default=None)
