"""Reads what the engine's process takes. Kind: hands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inglenook.governor.sensors.files import parse_number, parse_table, text_of

#: 16 KiB on a Raspberry Pi 5.
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_S = os.sysconf("SC_CLK_TCK")

# Places after the name in /proc/PID/stat (proc_pid_stat(5) counts from 1, the name being 2).
_USER, _SYSTEM, _RESIDENT = 14 - 3, 15 - 3, 24 - 3


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process takes.

    Attributes:
        cpu_s: Processor time it has had, all threads together.
        rss_bytes: Its resident memory.
        mapped_bytes: Part of it that is mapped from files; 0 if the kernel does not tell.
    """

    cpu_s: float
    rss_bytes: int
    mapped_bytes: int = 0


def read_process(root: Path, pid: int) -> ProcessUse | None:
    """Read a process's use; None if it is gone."""
    # The name may hold spaces and brackets.
    words = text_of(root / f"proc/{pid}/stat").rpartition(")")[2].split()
    if len(words) <= _RESIDENT:
        return None
    numbers = [parse_number(words[place]) for place in (_USER, _SYSTEM, _RESIDENT)]
    user, system, resident = (number or 0 for number in numbers)
    # Since Linux 4.5. Memory maps of the model are in it, shared memory is not.
    mapped_kib = parse_table(text_of(root / f"proc/{pid}/status")).get("RssFile", 0)
    return ProcessUse((user + system) / _TICKS_S, resident * _PAGE_BYTES, mapped_kib * 1024)
