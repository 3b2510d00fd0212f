"""Maps decisions of the governor to limits of dispatcher and engine. Kind: rules."""

from __future__ import annotations

from dataclasses import replace

from inglenook.common.errors import Code, Problem
from inglenook.discovery.advert import Status
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.orders import Limits
from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response_parts import WaitReason as Waiting

#: When to come back, if that is unknown.
_RETRY_S = 30.0

#: Why an answer waits while there are fewer places than usual; docs/protocol.md has no more words.
_WAITING = {LimitReason.THERMAL: Waiting.THERMAL, LimitReason.MEMORY: Waiting.MEMORY}

_UNREAD = {
    LimitReason.NONE: None,
    LimitReason.THERMAL: Problem(Code.TOO_HOT, "The box is hot and reads nothing ahead."),
    LimitReason.POWER: Problem(Code.BUSY, "The box is short of power and reads nothing ahead."),
    LimitReason.MEMORY: Problem(
        Code.LOW_MEMORY, "The box is short of memory and reads nothing ahead."
    ),
}

#: Steps of the temperature that phones are shown; without, a frame would go out for every breath.
_SHOWN_STEP_C = 1.0


def with_engine(decision: Decision, engine: EngineState) -> Decision:
    """Take into account whether there is room for the model at all."""
    if engine.phase is EnginePhase.UNLOADED and engine.why:
        return replace(
            decision,
            reason=LimitReason.MEMORY,
            max_active=0,
            admit=False,
            eta_s=None,
            sentence=f"No room for the model: {engine.why}",
        )
    return replace(decision, max_active=0) if decision.unload else decision


def serving_limits(decision: Decision, capacity: Capacity) -> ServingLimits:
    """Say how much may be taken on."""
    fewer = decision.max_active < capacity.max_active or not decision.admit
    reason = _WAITING.get(decision.reason, Waiting.BUSY) if fewer else Waiting.BUSY
    refuse = None if decision.admit else _refusal(decision)
    # The decision may be older than what the model is loaded with now.
    max_active = min(decision.max_active, capacity.max_active)
    return ServingLimits(max_active, reason, refuse, _UNREAD[decision.reason])


def engine_limits(decision: Decision, capacity: Capacity) -> Limits:
    """Say how hard the engine may work; what is not limited stays as it was loaded."""
    budget_s, threads = decision.step_budget_s, decision.threads
    ram_bytes = decision.ram_cache_bytes
    return Limits(
        step_budget_s=budget_s if budget_s < capacity.step_budget_s else None,
        threads=threads if threads < capacity.threads else None,
        duty=decision.duty,
        ram_bytes=ram_bytes if ram_bytes < capacity.ram_cache_bytes else None,
    )


def mdns_status(decision: Decision | None, engine: EngineState, *, resting: bool) -> Status:
    """Say in a word whether an answer can start at once.

    Args:
        decision: The governor's; None before the first sample.
        engine: Its state.
        resting: Whether the model is unloaded because it is not needed.
    """
    if resting:
        return "sleep"
    if engine.phase is not EnginePhase.READY:
        return "loading"
    if decision is not None and (
        decision.level in (Level.HOT, Level.CRITICAL) or decision.duty == 0
    ):
        return "hot"
    return "ready"


def shown_c(before: int | None, temp_c: float | None) -> int | None:
    """Round a temperature for people, and leave it as it was while it moves by less than a degree.

    Args:
        before: What was shown last.
        temp_c: The processor's temperature; None if no sensor tells it.
    """
    if temp_c is None or (before is not None and abs(temp_c - before) < _SHOWN_STEP_C):
        return None if temp_c is None else before
    return round(temp_c)


def _refusal(decision: Decision) -> Problem:
    retry_after_s = _RETRY_S if decision.eta_s is None else round(max(decision.eta_s, 1.0), 1)
    if decision.reason is LimitReason.MEMORY:
        text = "The box is short of memory and takes no new questions just now."
        return Problem(Code.LOW_MEMORY, text, retry_after_s=retry_after_s)
    text = "The box is too hot and takes no new questions until it has cooled down."
    return Problem(Code.TOO_HOT, text, retry_after_s=retry_after_s)
