"""What shortage of memory forbids, rung by rung. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from inglenook.governor.readings import MemoryReadings

#: What stays free for the kernel and everybody else: the more of the two.
_RESERVE_BYTES = 128 * 2**20
_RESERVE_SHARE = 0.05

#: Percent of time in which some task waited for memory; psi.rst calls 10 % over 10 s noticeable.
_SOME_SHORT, _SOME_QUIET, _FULL_SEVERE = 10.0, 5.0, 5.0

#: A second in which so much went to swap, while little is left, is one of thrashing.
_SWAPPED_BYTES = 8 * 2**20

#: From one rung to the next: the pressure averages look 10 s back, so what a rung brought shows
#: only then. What is severe kills sooner.
_UP_S, _UP_SEVERE_S = 12.0, 4.0

#: A rung is left when it has been quiet for so long; loading a model anew costs more than that.
_QUIET_S, _QUIET_UNLOADED_S = 30.0, 120.0


class Rung(IntEnum):
    """Each forbids what those below it do, and one thing more."""

    OPEN = 0
    NO_NEW = 1
    HALF_CACHE = 2
    NO_CACHE = 3
    HALF_ACTIVE = 4
    ONE_ACTIVE = 5
    UNLOADED = 6


class Pressure(IntEnum):
    """How short memory is."""

    QUIET = 0
    FAIR = 1
    SHORT = 2
    SEVERE = 3


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where on the ladder the box stands.

    Attributes:
        rung: The one in force.
        pressure: As last seen.
        reached_s: When `rung` was reached, monotonic seconds.
        quiet_s: Since when it has been quiet; None while it is not.
        memory: What was read last.
    """

    rung: Rung = Rung.OPEN
    pressure: Pressure = Pressure.QUIET
    reached_s: float = 0.0
    quiet_s: float | None = None
    memory: MemoryReadings = field(default_factory=MemoryReadings)


def reserve_bytes(memory: MemoryReadings) -> int:
    """Say how much should stay free; of the control group's limit, if that is less than all."""
    sizes = [size for size in (memory.total_bytes, memory.limit_bytes) if size is not None]
    return max(_RESERVE_BYTES, int(_RESERVE_SHARE * min(sizes, default=0)))


def next_ladder(before: Ladder, memory: MemoryReadings, now: float) -> Ladder:
    """Take in one second's readings; at most one rung up or down."""
    pressure = _pressure(before.memory, memory)
    quiet_s = None
    if pressure is Pressure.QUIET:
        quiet_s = now if before.quiet_s is None else before.quiet_s
    ladder = replace(before, pressure=pressure, quiet_s=quiet_s, memory=memory)
    if _may_climb(ladder, now):
        return replace(ladder, rung=Rung(ladder.rung + 1), reached_s=now)
    if ladder.rung > Rung.OPEN and eta_s(ladder, now) == 0.0:
        # Each rung down has to be quiet for its own time.
        return replace(ladder, rung=Rung(ladder.rung - 1), reached_s=now, quiet_s=now)
    return ladder


def eta_s(ladder: Ladder, now: float) -> float:
    """Say when the rung may be left at the earliest, in seconds from now."""
    needed_s = _QUIET_UNLOADED_S if ladder.rung is Rung.UNLOADED else _QUIET_S
    quiet_s = now if ladder.quiet_s is None else ladder.quiet_s
    return max(0.0, quiet_s + needed_s - now)


def _may_climb(ladder: Ladder, now: float) -> bool:
    if ladder.pressure < Pressure.SHORT or ladder.rung is Rung.UNLOADED:
        return False
    if ladder.rung is Rung.OPEN:
        return True  # taking no new questions harms least, and helps at once
    severe = ladder.pressure is Pressure.SEVERE
    if ladder.rung is Rung.ONE_ACTIVE and not severe:
        return False  # short is no reason to stop answering
    return now - ladder.reached_s >= (_UP_SEVERE_S if severe else _UP_S)


def _pressure(before: MemoryReadings, memory: MemoryReadings) -> Pressure:
    """Judge one reading; what cannot be told counts as quiet."""
    reserve = reserve_bytes(memory)
    left = memory.left_bytes
    some, full = memory.psi_some_avg10 or 0.0, memory.psi_full_avg10 or 0.0
    if _below(left, reserve // 2) or full > _FULL_SEVERE or _killed(before, memory):
        return Pressure.SEVERE
    if (
        _below(left, reserve)
        or some > _SOME_SHORT
        or (_swapping(before, memory) and _below(left, 2 * reserve))
    ):
        return Pressure.SHORT
    if _below(left, reserve * 3 // 2) or some > _SOME_QUIET:
        return Pressure.FAIR
    return Pressure.QUIET


def _below(left: int | None, bound: int) -> bool:
    return left is not None and left < bound


def _killed(before: MemoryReadings, memory: MemoryReadings) -> bool:
    """Whether the kernel has just killed one of ours for memory."""
    if before.oom_kills is None or memory.oom_kills is None:
        return False
    return memory.oom_kills > before.oom_kills


def _swapping(before: MemoryReadings, memory: MemoryReadings) -> bool:
    if before.swap_free_bytes is None or memory.swap_free_bytes is None:
        return False
    return before.swap_free_bytes - memory.swap_free_bytes > _SWAPPED_BYTES
