"""Reads the board's clocks, and sets the alarm that wakes it. Kind: hands.

All but `read_clocks` blocks for a moment: call it in a thread.

Source: Documentation/ABI/testing/sysfs-class-rtc of Linux. The times are the clock's own, which
may be local time, so only differences count.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.power.resume import ClockPair

#: Longest time between the readings of two clocks, seconds.
_APART_S = 0.1


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is set.

    Attributes:
        clock: The clock's folder.
        others: Another program's alarm before; None if there was none.
    """

    clock: Path
    others: int | None

    def put_back(self) -> bool:
        """Restore the alarm set before; returns whether ours has gone off."""
        left = _number(self.clock / "wakealarm")
        now = _number(self.clock / "since_epoch") or 0
        with contextlib.suppress(OSError):
            _set(self.clock, 0)
            if self.others is not None and self.others > now:
                _set(self.clock, self.others)
        return left is None or left <= now


def read_clocks() -> ClockPair:
    """Read both clocks at one moment; one of them stops while the board is suspended."""
    while True:
        before_s = time.monotonic()
        boottime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        monotonic_s = time.monotonic()
        # A process that was stopped or swapped out in between would seem to have slept.
        if monotonic_s - before_s < _APART_S:
            return ClockPair(boottime_s, monotonic_s)


def find_clock(root: Path) -> Path | None:
    """Return the folder of the first clock whose alarm wakes the board, or None."""
    alarms = sorted((root / "sys/class/rtc").glob("rtc*/wakealarm"))
    return alarms[0].parent if alarms else None


def set_alarm(root: Path, in_s: float) -> Alarm:
    """Set an alarm that wakes the board.

    Raises:
        StartupError: If no clock can, or this user may not set it.
    """
    clock = find_clock(root)
    now = None if clock is None else _number(clock / "since_epoch")
    if clock is None or now is None:
        raise StartupError("no clock in /sys/class/rtc tells the time and has an alarm")
    others = _number(clock / "wakealarm")
    try:
        if others is not None:
            _set(clock, 0)  # the kernel refuses to replace an alarm
        _set(clock, now + round(in_s))
    except PermissionError as exc:
        raise StartupError("only root may set the clock's alarm; put `sudo` before it") from exc
    except OSError as exc:
        text = f"{clock.name}'s alarm cannot be set: {exc.strerror}"
        raise StartupError(text) from exc
    return Alarm(clock, others)


def _set(clock: Path, at: int) -> None:
    (clock / "wakealarm").write_text(f"{at}\n")


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
