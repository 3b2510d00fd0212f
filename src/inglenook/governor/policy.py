"""What the box may do, given its readings. Kind: rules.

Heat is answered with fewer threads and pauses first, not with fewer answers at once: eight answers
read the weights once a step as one does, so that fewer would give up tokens and hardly any heat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from inglenook.governor.explain import sentence
from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.governor.memory.ladder import Ladder, Rung, eta_s, next_ladder
from inglenook.governor.readings import Readings
from inglenook.governor.thermal.effort import UP_AFTER_DOWN_S
from inglenook.governor.thermal.thermal import Heat, next_heat

#: At the limit itself the answers are halved, and come back one by one.
_HALVE = 2
_ONE_MORE_S = 20.0

#: Heat goes with clock times voltage squared, and the voltage has a floor: this fits the operating
#: points of a Cortex-A76 within 11 %, and the controller makes up for the rest.
_VOLTS_POWER, _VOLTS_FLOOR_CLOCK = 1.1, 0.5

#: Fewer threads than this share would hold up steps of many answers, which compute more than they
#: wait.
_THREADS_LEAST = 0.75

#: A thread is given back only when there is this much more effort than it takes, as a share.
_THREAD_AGAIN = 0.06

#: The caches and the way to memory need about as much power as one core while anything computes.
_SHARED_CORES = 1

#: Shorter steps cost more than they bring: a step reads all weights whatever it computes.
_STEP_LEAST_S = 0.05

#: How long a supply must have been good; a dip comes back with the next load.
_SUPPLY_S = 60.0

#: Charge in percent at which a battery is to last rather than to be quick, and when no longer.
_BATTERY_LOW, _BATTERY_AGAIN = 20.0, 25.0


@dataclass(frozen=True, slots=True)
class PolicyState:
    """The policy's state from one second to the next.

    Attributes:
        heat: See `thermal`.
        ladder: See `ladder`.
        cool_active: Answers at once that heat allows; infinity until it was first limited.
        active_s: When `cool_active` last changed, monotonic seconds.
        threads: As decided last; None before the first decision.
        undervoltage_s: When the supply was last too weak.
        battery_low: On battery, and little left.
    """

    heat: Heat = field(default_factory=Heat)
    ladder: Ladder = field(default_factory=Ladder)
    cool_active: float = math.inf
    active_s: float = -math.inf
    threads: int | None = None
    undervoltage_s: float = -math.inf
    battery_low: bool = False


def decide(
    state: PolicyState, readings: Readings, capacity: Capacity, now: float, *, busy: bool
) -> tuple[PolicyState, Decision]:
    """Take in one second's readings.

    Args:
        state: What this returned last; ``PolicyState()`` at first.
        readings: The board, now.
        capacity: What the box does when nothing holds it back.
        now: Monotonic seconds; to be called about once a second.
        busy: Whether answers are being written.
    """
    heat = next_heat(state.heat, readings, now, busy=busy)
    state = _with_supply(_with_active(state, heat, capacity, now), readings, now)
    ladder = next_ladder(state.ladder, readings.memory, now)
    threads, clock, duty = _spend(heat.effort.spent, capacity, state.threads)
    state = replace(state, heat=heat, ladder=ladder, threads=threads)
    allowed = _allowed(state, capacity, now)
    reason = _reason(state, allowed, capacity, now)
    if heat.paused:
        duty = 0.0
    decision = Decision(
        level=heat.level,
        reason=reason,
        max_active=allowed,
        threads=threads,
        clock=clock,
        duty=duty,
        # So that the pause after it and the step together last as long as a step did.
        step_budget_s=max(_STEP_LEAST_S, capacity.step_budget_s * (duty or 1.0)),
        ram_cache_bytes=_ram_cache_bytes(ladder.rung, capacity),
        admit=ladder.rung is Rung.OPEN and not heat.paused,
        unload=ladder.rung is Rung.UNLOADED,
        eta_s=_eta_s(state, reason, now),
        sentence="",
    )
    return state, replace(decision, sentence=sentence(decision, heat, ladder, readings))


def _with_active(state: PolicyState, heat: Heat, capacity: Capacity, now: float) -> PolicyState:
    """Halve the answers when it becomes critical, and give one back every 20 s it is not."""
    if heat.level is Level.CRITICAL:
        if state.heat.level is Level.CRITICAL:
            return replace(state, active_s=now)
        most = min(state.cool_active, float(capacity.max_active))
        return replace(state, cool_active=max(1.0, most // _HALVE), active_s=now)
    calm = now - heat.effort.lowered_s >= UP_AFTER_DOWN_S
    if calm and state.cool_active < capacity.max_active and now - state.active_s >= _ONE_MORE_S:
        return replace(state, cool_active=state.cool_active + 1, active_s=now)
    return state


def _with_supply(state: PolicyState, readings: Readings, now: float) -> PolicyState:
    flags = readings.firmware
    if flags is not None and flags.undervoltage:
        state = replace(state, undervoltage_s=now)
    charge = readings.battery_percent
    most = _BATTERY_AGAIN if state.battery_low else _BATTERY_LOW
    low = readings.on_battery is True and charge is not None and charge < most
    return replace(state, battery_low=low)


def _spend(effort: float, capacity: Capacity, before: int | None) -> tuple[int, float, float]:
    """Turn effort into threads, clock and duty, whichever loses least first.

    A lower clock needs less voltage, so heat falls twice as fast as speed. Where the clock may not
    be set: decoding waits for memory much of the time, so the last thread costs more than it
    brings. Below that, pausing is as good or better.
    """
    if len(capacity.clocks) > 1:
        # The next above, and pauses, so that heat does not jump from one clock to the next.
        enough = [clock for clock in capacity.clocks if effort <= _heat_of(clock)]
        clock = min(enough, default=1.0)
        return capacity.threads, clock, min(1.0, effort / _heat_of(clock))
    full = capacity.threads + _SHARED_CORES
    for threads in range(math.ceil(capacity.threads * _THREADS_LEAST), capacity.threads):
        share = (threads + _SHARED_CORES) / full
        # Fewer than now only if they have something to spare.
        spare = _THREAD_AGAIN if before is not None and threads < before else 0.0
        if effort <= share - spare:
            return threads, 1.0, effort / share
    return capacity.threads, 1.0, effort


def _heat_of(clock: float) -> float:
    """Heat at a clock, as a share of that at the highest."""
    return clock * math.pow(max(clock, _VOLTS_FLOOR_CLOCK), _VOLTS_POWER)


def _allowed(state: PolicyState, capacity: Capacity, now: float) -> int:
    """How many answers at once all together allow."""
    allowed = int(min(state.cool_active, capacity.max_active))
    half = max(1, capacity.max_active // _HALVE)
    if state.battery_low or state.ladder.rung >= Rung.HALF_ACTIVE:
        allowed = min(allowed, half)
    if _undervolted(state, now) or state.ladder.rung >= Rung.ONE_ACTIVE:
        allowed = min(allowed, 1)
    return allowed


def _ram_cache_bytes(rung: Rung, capacity: Capacity) -> int:
    if rung >= Rung.NO_CACHE:
        return 0
    return capacity.ram_cache_bytes // 2 if rung is Rung.HALF_CACHE else capacity.ram_cache_bytes


def _reason(state: PolicyState, allowed: int, capacity: Capacity, now: float) -> LimitReason:
    """What to name: memory kills, a weak supply corrupts, heat only slows."""
    if state.ladder.rung > Rung.OPEN:
        return LimitReason.MEMORY
    if _undervolted(state, now) or state.battery_low:
        return LimitReason.POWER
    limited = state.heat.effort.spent < 1.0 or allowed < capacity.max_active or state.heat.paused
    return LimitReason.THERMAL if limited else LimitReason.NONE


def _undervolted(state: PolicyState, now: float) -> bool:
    return now - state.undervoltage_s < _SUPPLY_S


def _eta_s(state: PolicyState, reason: LimitReason, now: float) -> float | None:
    if reason is LimitReason.MEMORY:
        return eta_s(state.ladder, now)
    if reason is LimitReason.POWER and _undervolted(state, now):
        return max(0.0, state.undervoltage_s + _SUPPLY_S - now)
    if reason is LimitReason.THERMAL:
        return max(0.0, state.heat.effort.lowered_s + UP_AFTER_DOWN_S - now)
    return None
