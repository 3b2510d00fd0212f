"""Sizes and durations as text, such as ``512MiB`` and ``10min``. Kind: words."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")

# IEC prefixes are powers of 1024; the SI ones powers of 1000, as disk makers count.
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(text: str) -> int:
    """Read a size such as ``512MiB``, ``1.5GB`` or ``0``.

    Raises:
        ValueError: With a sentence that shows the accepted forms.
    """
    match = _QUANTITY.fullmatch(text)
    # Beyond 15 digits a float is no longer exact.
    if match is None or match[2].lower() not in _BYTES or len(match[1]) > 15:
        raise ValueError(f"{text!r} is not a size; write for example 512MiB, 2GiB or 0")
    return round(float(match[1]) * _BYTES[match[2].lower()])


def parse_duration_s(text: str) -> float:
    """Read a duration such as ``200ms``, ``30s``, ``10min``, ``2h``, ``90d`` or ``0``, in seconds.

    A bare number other than 0 is refused: it could mean minutes to its writer and seconds to us.

    Raises:
        ValueError: With a sentence that shows the accepted forms.
    """
    match = _QUANTITY.fullmatch(text)
    if match is not None and match[2].lower() in _SECONDS:
        return float(match[1]) * _SECONDS[match[2].lower()]
    if match is not None and not match[2] and float(match[1]) == 0:
        return 0.0
    raise ValueError(f"{text!r} is not a duration; write for example 200ms, 30s, 10min, 2h or 90d")


def format_bytes(count: int) -> str:
    """Write a size for people, such as ``93.8 MiB``."""
    if abs(count) < 1024:
        return f"{count} B"
    for unit, size in (("KiB", 2**10), ("MiB", 2**20)):
        # Rounded before it is compared, or 1 MiB less one byte would be 1024.0 KiB.
        if round(abs(count) / size, 1) < 1024:
            return f"{count / size:.1f} {unit}"
    return f"{count / 2**30:.1f} GiB"


def format_duration(duration_s: float) -> str:
    """Write a duration for people, such as ``5 min`` or ``1.5 s``."""
    for unit, size_s in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if duration_s >= size_s and duration_s % size_s == 0:
            return f"{duration_s / size_s:.0f} {unit}"
    return f"{round(duration_s, 3):.12g} s"


def mid_sentence(text: str) -> str:
    """Return a sentence with a small first letter, to stand behind a colon."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
