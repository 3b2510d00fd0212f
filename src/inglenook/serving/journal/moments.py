"""Points in time that outlast a restart and a clock that is set meanwhile. Kind: hands.

A board without a battery clock starts with a wrong date and jumps by months when NTP answers, so
the date alone says little about an age. Within one boot the kernel's own count of seconds is used.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

#: A time without the daemon that is longer than this is taken for a clock that was set, seconds.
#: A box that was really away for longer keeps its last answers `resume_ttl` more, no harm done.
DOUBTED_S = 86400.0


def _read_boot_id() -> str:
    """What changes with every boot of the kernel, see random(4); empty if there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


#: Read once and here: moments are asked for where nothing may wait for a file.
_BOOT_ID: Final = _read_boot_id()


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time by two clocks.

    Attributes:
        wall_s: Seconds since 1970, as the board's clock had it then.
        boottime_s: Seconds since the kernel was booted, suspends included; see clock_gettime(2).
        boot_id: Which boot that counts from; empty if unknown.
    """

    wall_s: float
    boottime_s: float = 0.0
    boot_id: str = ""

    def before(self, ago_s: float) -> Moment:
        """The moment that many seconds earlier."""
        return Moment(self.wall_s - ago_s, self.boottime_s - ago_s, self.boot_id)


def read_moment() -> Moment:
    """Read both clocks."""
    wall_s = datetime.now(UTC).timestamp()
    return Moment(wall_s, time.clock_gettime(time.CLOCK_BOOTTIME), _BOOT_ID)


def age_s(then: Moment, last: Moment, now: Moment) -> float:
    """How long ago something was, in seconds; never negative.

    Across a reboot only the time between ``last`` and ``now`` is measured by dates. If those
    cannot be true, it counts as no time at all: better to keep an answer for a while longer than
    to lose it.

    Args:
        then: When it was.
        last: The last moment written down before ``now``, by the process that wrote down ``then``.
        now: The present.
    """
    if _same_boot(then, now):
        return max(now.boottime_s - then.boottime_s, 0.0)
    known_s = 0.0
    if _same_boot(then, last):
        known_s, then = max(last.boottime_s - then.boottime_s, 0.0), last
    away_s = now.wall_s - then.wall_s
    return known_s + (away_s if 0.0 < away_s <= DOUBTED_S else 0.0)


def _same_boot(one: Moment, other: Moment) -> bool:
    return bool(one.boot_id) and one.boot_id == other.boot_id
