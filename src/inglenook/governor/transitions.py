"""Which changes of a decision are worth a line in the log. Kind: rules."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from inglenook.governor.limits import Capacity, Decision, Level, LimitReason

#: Least to worst.
_LEVELS = (Level.UNKNOWN, Level.COOL, Level.WARM, Level.HOT, Level.CRITICAL)
_REASONS = (LimitReason.NONE, LimitReason.THERMAL, LimitReason.POWER, LimitReason.MEMORY)


class Transition(StrEnum):
    """How a decision compares with the one before it."""

    NONE = "none"
    BETTER = "better"
    WORSE = "worse"


def turn(before: Decision | None, after: Decision) -> Transition:
    """Compare two decisions.

    Threads, pauses and temperature move all the time and are no transition: `Decision.sentence`
    has them when there is one.

    Args:
        before: The last that was compared; None for a box of which nothing was known.
        after: The one to judge.
    """
    now = _gravity(after)
    if before is None:
        return Transition.WORSE if after.reason is not LimitReason.NONE else Transition.BETTER
    last = _gravity(before)
    if now == last:
        return Transition.NONE
    return Transition.WORSE if now > last else Transition.BETTER


def unlimited(decision: Decision, capacity: Capacity) -> Decision:
    """The same outlook, but nothing is limited: the owner wants it so."""
    return replace(
        decision,
        reason=LimitReason.NONE,
        max_active=capacity.max_active,
        threads=capacity.threads,
        clock=1.0,
        duty=1.0,
        step_budget_s=capacity.step_budget_s,
        ram_cache_bytes=capacity.ram_cache_bytes,
        admit=True,
        unload=False,
        eta_s=None,
        sentence="Nothing is limited, since governor.enabled is false",
    )


def _gravity(decision: Decision) -> tuple[int, ...]:
    """How bad a decision is; the first item weighs most."""
    return (
        int(decision.unload),
        int(decision.duty == 0),
        int(not decision.admit),
        _LEVELS.index(decision.level),
        _REASONS.index(decision.reason),
        -decision.max_active,
    )
