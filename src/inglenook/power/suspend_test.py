"""Tests whether this board wakes up again, and stores the result. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from inglenook.common.errors import StartupError
from inglenook.common.wholefile import write_whole
from inglenook.power.login1 import LogindRefused
from inglenook.power.resume import ClockPair, ResumeWatch
from inglenook.power.rtc import find_clock, read_clocks, set_alarm

log = logging.getLogger(__name__)

#: Time until the alarm, seconds, beside the time of other programs' delay locks.
SLEEP_S = 60.0

#: Least time between falling asleep and the alarm, seconds; otherwise the board might miss it.
_ASLEEP_BEFORE_S = 20.0

#: Time after the alarm within which the slowest firmware is back, seconds.
_BACK_AFTER_S = 30.0

_LOOK_EVERY_S = 0.1

_FILE_NAME = "suspend-test.json"

#: It has some 200 bytes.
_FILE_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class SuspendTest:
    """Result of a test.

    Attributes:
        board: The board's model; empty if unknown.
        kernel: Its release, as in ``uname -r``: waking up depends on drivers.
        at: Time of the test, as ISO 8601 with a zone.
        ok: Whether the board woke up by its alarm.
        slept_s: How long it was asleep, seconds; 0 if unknown.
    """

    board: str
    kernel: str
    at: str
    ok: bool = False
    slept_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    test: SuspendTest


@dataclass(frozen=True, slots=True)
class Suspender:
    """Means of putting the board to sleep.

    Attributes:
        suspend: Suspends it; may return before it is.
        alarm_s: Time until the alarm, seconds.
        root: Where ``/sys`` and ``/proc`` stand.
        clocks: Reads the clocks.
    """

    suspend: Callable[[], Awaitable[None]]
    alarm_s: float = SLEEP_S
    root: Path = Path("/")
    clocks: Callable[[], ClockPair] = read_clocks


def can_sleep(root: Path) -> bool:
    """Return whether the kernel can suspend this board to memory. Blocks for a moment."""
    return "mem" in _read(root / "sys/power/state").split()


def check_board(root: Path) -> None:
    """Check that a test can be tried at all. Blocks for a moment.

    Raises:
        StartupError: If it cannot.
    """
    if not can_sleep(root):
        raise StartupError("the kernel cannot suspend this board: /sys/power/state has no 'mem'")
    if find_clock(root) is None:
        raise StartupError("this board has no clock that could wake it: none in /sys/class/rtc")


def read_suspend_test(state_dir: Path, kernel: str, root: Path = Path("/")) -> bool:
    """Return whether this board is known to wake with this kernel. Blocks on small files."""
    test = last_test(state_dir)
    return test is not None and test.ok and (test.board, test.kernel) == (_board(root), kernel)


def last_test(state_dir: Path) -> SuspendTest | None:
    """Return the last result; None if there is no readable one. Blocks."""
    path = state_dir / _FILE_NAME
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_FILE_BYTES_MAX), type=_File).test
    except FileNotFoundError:
        return None
    except OSError as exc:
        log.warning("%s cannot be read (%s), so it does not count", path, exc.strerror)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        log.warning("%s is no test of ours (%s), so it does not count", path, exc)
    return None


async def try_suspend(state_dir: Path, bed: Suspender) -> SuspendTest:
    """Suspend the board with an alarm set, and store the result.

    For a board that never wakes up, the file says that the test failed.

    Raises:
        InglenookError: With a sentence, if it cannot be tried, or did not go as it should.
    """
    await asyncio.to_thread(check_board, bed.root)
    board = await asyncio.to_thread(_board, bed.root)
    test = SuspendTest(board, os.uname().release, datetime.now(UTC).isoformat(timespec="seconds"))
    alarm = await asyncio.to_thread(set_alarm, bed.root, bed.alarm_s)
    try:
        await asyncio.to_thread(_keep, state_dir, test)
        watch = ResumeWatch(bed.clocks())
        await bed.suspend()
    except (StartupError, LogindRefused):
        await asyncio.to_thread(alarm.put_back)
        raise
    # From here on the alarm stays in any case: the board may be falling asleep.
    slept_s = await _sleep(watch, bed)
    spent = await asyncio.to_thread(alarm.put_back)
    _judge(slept_s, bed.alarm_s, spent=spent)
    test = replace(test, ok=True, slept_s=round(slept_s, 1))
    await asyncio.to_thread(_keep, state_dir, test)
    return test


async def _sleep(watch: ResumeWatch, bed: Suspender) -> float:
    """Wait until the board was asleep; returns how long, or 0 if it was not."""
    awake_s = bed.alarm_s - _ASLEEP_BEFORE_S
    for _ in range(round(awake_s / _LOOK_EVERY_S)):
        await asyncio.sleep(_LOOK_EVERY_S)
        slept_s = watch.check(bed.clocks())
        if slept_s is not None:
            return slept_s
    return 0.0


def _judge(slept_s: float, alarm_s: float, *, spent: bool) -> None:
    """Check a test's result.

    Raises:
        StartupError: If anything went wrong.
    """
    if not slept_s:
        text = "the board did not go to sleep; `journalctl -b -k` says what kept the kernel from it"
    elif not spent:
        text = f"something else woke the board after {slept_s:.0f} s, before the alarm; try again"
    elif slept_s > alarm_s + _BACK_AFTER_S:
        text = f"the alarm did not wake the board: it slept on for {slept_s - alarm_s:.0f} s"
    else:
        return
    raise StartupError(text)


def _board(root: Path) -> str:
    # A device tree's strings end with a zero byte.
    model = _read(root / "proc/device-tree/model").strip("\0")
    return model or _read(root / "sys/class/dmi/id/product_name")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _keep(state_dir: Path, test: SuspendTest) -> None:
    """Replace the file atomically.

    Raises:
        StartupError: If it cannot be written.
    """
    path = state_dir / _FILE_NAME
    data = msgspec.json.format(msgspec.json.encode(_File(1, test))) + b"\n"
    try:
        # No secret: root writes it, and the daemon reads it.
        write_whole(path, data)
    except OSError as exc:
        raise StartupError(f"{path}: cannot be written: {exc.strerror}") from exc
