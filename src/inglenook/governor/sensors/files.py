"""Reads the kernel's small files. Kind: hands.

They are opened anew each time: a file kept open outlives the sensor it stood for, and opening one
takes some ten microseconds.
"""

from __future__ import annotations

import os
from pathlib import Path

#: The longest that are read every second, ``meminfo`` and ``memory.stat``, have 2 KiB.
_BYTES_MAX = 16384


def read_text(path: str | Path) -> str:
    """Read a file of ``/sys`` or ``/proc`` in one call, without the white space and NUL around it.

    Raises:
        OSError: If it is not there, may not be read, or its driver refuses.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The kernel makes the text at the first read; in two, they would be of two moments.
        raw = os.read(file, _BYTES_MAX)
    finally:
        os.close(file)
    return raw.decode("ascii", "replace").strip("\0 \t\r\n")


def text_of(path: str | Path) -> str:
    """Read as `read_text`; empty if it cannot be read."""
    try:
        return read_text(path)
    except OSError:
        return ""


def number_of(path: str | Path) -> int | None:
    """Read a file of one whole number; None if it cannot be read or holds something else."""
    return parse_number(text_of(path))


def parse_number(text: str) -> int | None:
    """Read a whole number as the kernel writes it: digits, maybe a minus, nothing else."""
    # int() would also take 1_000, other alphabets' digits, and numbers of any length.
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 20:
        return int(text)
    return None


def parse_table(text: str) -> dict[str, int]:
    """Read lines of a name and a number, as ``meminfo`` has; others are left out."""
    table = {}
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        number = parse_number(words[1]) if len(words) > 1 else None
        if number is not None:
            table[words[0]] = number
    return table
