"""How much memory the kernel could still give away. Kind: hands."""

from __future__ import annotations

from pathlib import Path


def read_mem_available_bytes(root: Path) -> int | None:
    """Read ``MemAvailable`` from ``/proc/meminfo`` under ``root``; None if it cannot be told."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        number = rest.removesuffix("kB").strip()
        if name == "MemAvailable" and number.isdecimal():
            # "kB" there means KiB (Linux, Documentation/filesystems/proc.rst).
            return int(number) * 1024
    return None
