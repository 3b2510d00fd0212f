"""What the governor would do at which temperature and with how much memory left. Kind: rules.

The policy itself is called, with made-up readings, so that this cannot differ from what happens.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inglenook.governor.limits import Capacity, Decision, Level
from inglenook.governor.memory.ladder import Rung
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.readings import MemoryReadings, Readings, Zone
from inglenook.governor.thermal.effort import Effort
from inglenook.governor.thermal.thermal import Heat

#: Temperatures to try: how far apart, how far below the limit to begin, and how many degrees. Where
#: everything stops depends on the kernel's critical mark, which may be far above the limit.
_STEP_C, _BELOW_C, _SPAN_C = 0.5, 20.0, 90.0

#: How long each lasts: a box that is too hot becomes slower by the second.
_HOT_S = 60

#: How long memory stays short: enough for every rung of the ladder.
_SHORT_S = 120

#: Amounts of memory to try: half of it, and then each this share of the one before.
_LESS = 0.85

_EVERYTHING = "everything goes on"


@dataclass(frozen=True, slots=True)
class Mark:
    """From here on something else happens.

    Attributes:
        at: Temperature in °C, or how many seconds it has lasted.
        level: How hot that is; unknown where it is about memory.
        does: What is done then, for people.
    """

    at: float
    level: Level
    does: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """What happens while too little memory is left.

    Attributes:
        below_bytes: Less than this is left.
        course: What is done, by the seconds that it has lasted.
    """

    below_bytes: int
    course: tuple[Mark, ...]


def heat_marks(zone: Zone, capacity: Capacity) -> list[Mark]:
    """Say what is done at each temperature once it has lasted for a minute of hard work.

    Args:
        zone: The sensor with the lowest limit; what it reads does not matter.
        capacity: What the box does when nothing holds it back.

    Returns:
        The coolest first; the last is where nothing is computed any more.
    """
    coolest_c = zone.passive_c - _BELOW_C
    temps_c = [coolest_c + index * _STEP_C for index in range(round(_SPAN_C / _STEP_C))]
    marks: list[Mark] = []
    index = 0
    while index < len(temps_c):
        decision = _after_a_minute(replace(zone, temp_c=temps_c[index]), capacity)
        marks.append(Mark(temps_c[index], decision.level, allowed(decision, capacity)))
        index = _first_other(temps_c, index, zone, capacity)
    return marks


def memory_shortages(memory: MemoryReadings, capacity: Capacity) -> list[Shortage]:
    """Say what is done when memory runs short, the first shortage first.

    Args:
        memory: How much there is; how much is left does not matter.
        capacity: What the box does when nothing holds it back.

    Returns:
        Nothing if it cannot be told how much memory there is.
    """
    sizes = [size for size in (memory.total_bytes, memory.limit_bytes) if size is not None]
    total_bytes = min(sizes, default=0)
    left_bytes = total_bytes // 2
    course = _course(left_bytes, total_bytes, capacity)
    shortages: list[Shortage] = []
    while left_bytes >= 2**20:
        less_bytes = int(left_bytes * _LESS)
        worse = _course(less_bytes, total_bytes, capacity)
        if worse != course:
            edge_bytes = _edge_bytes(less_bytes, left_bytes, total_bytes, capacity)
            shortages.append(Shortage(edge_bytes, worse))
        left_bytes, course = less_bytes, worse
    return shortages


def allowed(decision: Decision, capacity: Capacity) -> str:
    """Say in few words what is allowed, as far as it is less than everything."""
    if decision.unload:
        return "the model is unloaded, answers wait"
    if not decision.duty:
        return "nothing is computed, answers wait"
    parts = []
    if decision.duty < 1:
        parts.append(f"computes {100 * decision.duty:.0f} % of the time")
    if decision.threads < capacity.threads:
        parts.append(f"{decision.threads} of {capacity.threads} threads")
    if decision.clock < 1:
        parts.append(f"at {100 * decision.clock:.0f} % of the clock")
    if decision.max_active < capacity.max_active:
        parts.append(f"{decision.max_active} of {capacity.max_active} answers at once")
    if decision.ram_cache_bytes < capacity.ram_cache_bytes:
        parts.append("half of the cache" if decision.ram_cache_bytes else "no cache in memory")
    if not decision.admit:
        parts.append("no new questions")
    return ", ".join(parts) or _EVERYTHING


def _first_other(temps_c: Sequence[float], index: int, zone: Zone, capacity: Capacity) -> int:
    """Find the first temperature at which the outcome differs from that at ``index``."""

    def way(temp_c: float) -> tuple[object, ...]:
        decision = _after_a_minute(replace(zone, temp_c=temp_c), capacity)
        # How much slower depends on how long it lasts, so that alone is no other way.
        full = allowed(decision, capacity) == _EVERYTHING
        return decision.level, full, decision.duty == 0

    same = way(temps_c[index])
    return bisect.bisect_left(temps_c, True, lo=index, key=lambda temp_c: way(temp_c) != same)


def _after_a_minute(zone: Zone, capacity: Capacity) -> Decision:
    """What is decided if a box that works as hard as it can has been so hot for a minute."""
    state = PolicyState(heat=Heat(Level.COOL, Effort(at_s=0.0)), threads=capacity.threads)
    readings = Readings(zones=(zone,))
    for now in range(1, _HOT_S):
        state, _ = decide(state, readings, capacity, float(now), busy=True)
    return decide(state, readings, capacity, float(_HOT_S), busy=True)[1]


def _edge_bytes(less_bytes: int, left_bytes: int, total_bytes: int, capacity: Capacity) -> int:
    """The least, to a MiB, that is enough for things to go as they do with ``left_bytes``."""
    better = _course(left_bytes, total_bytes, capacity)
    between = range(less_bytes, left_bytes, 2**20)
    index = bisect.bisect_left(
        between, True, key=lambda size: _course(size, total_bytes, capacity) == better
    )
    return less_bytes + index * 2**20


def _course(left_bytes: int, total_bytes: int, capacity: Capacity) -> tuple[Mark, ...]:
    """What is done while this much is left, by the second; only where it changes."""
    state = PolicyState()
    readings = Readings(memory=MemoryReadings(total_bytes, left_bytes))
    marks: list[Mark] = []
    for now in range(_SHORT_S):
        state, decision = decide(state, readings, capacity, float(now), busy=True)
        does = allowed(decision, capacity)
        if not marks or does != marks[-1].does:
            marks.append(Mark(float(now), decision.level, does))
        if state.ladder.rung in (Rung.OPEN, Rung.UNLOADED):
            break  # while the readings stay the same, nothing more will happen
    return tuple(marks)
