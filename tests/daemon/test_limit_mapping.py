"""What the governor decides reaches the rooms it governs in their own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.common.errors import Code, Problem
from inglenook.daemon.limit_mapping import (
    engine_limits,
    mdns_status,
    serving_limits,
    shown_c,
    with_engine,
)
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.orders import Limits
from inglenook.governor.limits import Capacity, Decision, Level, LimitReason
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response_parts import WaitReason as Waiting
from tests.parts.decisions import FREE

CAPACITY = Capacity(max_active=8, threads=4, step_budget_s=0.2, ram_cache_bytes=1000)

HOT = replace(
    FREE, level=Level.HOT, reason=LimitReason.THERMAL, threads=3, duty=0.8, step_budget_s=0.16
)
PAUSED = replace(HOT, level=Level.CRITICAL, duty=0.0, admit=False, eta_s=41.27)
SHORT = replace(FREE, reason=LimitReason.MEMORY, admit=False, ram_cache_bytes=0, eta_s=0.0)
WEAK = replace(FREE, reason=LimitReason.POWER, max_active=1, eta_s=60.0)

READY = EngineState(EnginePhase.READY, "tiny", threads=4)


def code(problem: Problem | None) -> Code | None:
    return None if problem is None else problem.code


def test_a_free_box_is_not_limited() -> None:
    """What is as it was loaded need not be named."""
    assert serving_limits(FREE, CAPACITY) == ServingLimits(8)
    assert engine_limits(FREE, CAPACITY) == Limits()


def test_a_decision_may_be_older_than_the_model_that_is_loaded() -> None:
    """It allows no more answers than the model has states for, and waiting has no other reason."""
    assert serving_limits(FREE, replace(CAPACITY, max_active=2)) == ServingLimits(2)


@pytest.mark.parametrize(
    ("decision", "refuse", "read_ahead", "reason"),
    [
        (HOT, None, Code.TOO_HOT, Waiting.BUSY),
        (replace(HOT, max_active=4), None, Code.TOO_HOT, Waiting.THERMAL),
        (PAUSED, Code.TOO_HOT, Code.TOO_HOT, Waiting.THERMAL),
        (SHORT, Code.LOW_MEMORY, Code.LOW_MEMORY, Waiting.MEMORY),
        (WEAK, None, Code.BUSY, Waiting.BUSY),
        (replace(WEAK, duty=0.0, admit=False), Code.TOO_HOT, Code.BUSY, Waiting.BUSY),
    ],
    ids=["hot", "fewer at once", "paused", "short of memory", "weak supply", "weak and paused"],
)
def test_phones_are_told_why(
    decision: Decision, refuse: Code | None, read_ahead: Code | None, reason: Waiting
) -> None:
    """Who waits only because all places are taken is told just that."""
    limits = serving_limits(decision, CAPACITY)

    assert limits.max_active == decision.max_active
    assert (code(limits.refuse), code(limits.read_ahead)) == (refuse, read_ahead)
    assert limits.reason is reason


@pytest.mark.parametrize(("eta_s", "retry_after_s"), [(41.27, 41.3), (0.0, 1.0), (None, 30.0)])
def test_who_is_refused_hears_when_to_come_back(eta_s: float | None, retry_after_s: float) -> None:
    """Never at once, or all would come at once."""
    refuse = serving_limits(replace(SHORT, eta_s=eta_s), CAPACITY).refuse

    assert refuse is not None
    assert refuse.retry_after_s == retry_after_s


def test_limits_that_stay_the_same_are_equal() -> None:
    """So that the desk is not woken every second for nothing."""
    assert serving_limits(HOT, CAPACITY) == serving_limits(replace(HOT, duty=0.7), CAPACITY)


def test_the_engine_is_held_to_every_bound() -> None:
    """Only those that bind are sent."""
    assert engine_limits(HOT, CAPACITY) == Limits(0.16, 3, 0.8)
    assert engine_limits(PAUSED, CAPACITY).duty == 0.0
    assert engine_limits(SHORT, CAPACITY) == Limits(ram_bytes=0)


def test_an_unloaded_model_writes_nothing() -> None:
    """Though the law speaks of one answer: that is what it goes on with."""
    unloaded = replace(SHORT, unload=True, max_active=1)

    assert with_engine(unloaded, EngineState(EnginePhase.UNLOADED)).max_active == 0


def test_a_model_without_room_is_a_shortage_of_memory() -> None:
    """Whatever the law says of the memory that is left without it."""
    engine = EngineState(EnginePhase.UNLOADED, "tiny", "it needs 1.0 GiB")

    decision = with_engine(FREE, engine)

    assert (decision.reason, decision.admit, decision.max_active) == (LimitReason.MEMORY, False, 0)
    assert decision.sentence == "No room for the model: it needs 1.0 GiB"
    assert code(serving_limits(decision, CAPACITY).refuse) is Code.LOW_MEMORY
    assert with_engine(FREE, READY) == FREE


@pytest.mark.parametrize(
    ("decision", "phase", "status"),
    [
        (None, EnginePhase.READY, "ready"),
        (FREE, EnginePhase.READY, "ready"),
        (replace(FREE, level=Level.WARM), EnginePhase.READY, "ready"),
        (HOT, EnginePhase.READY, "hot"),
        (PAUSED, EnginePhase.READY, "hot"),
        (replace(FREE, duty=0.0), EnginePhase.READY, "hot"),
        (SHORT, EnginePhase.READY, "ready"),
        (None, EnginePhase.LOADING, "loading"),
        (HOT, EnginePhase.RESTARTING, "loading"),
        (FREE, EnginePhase.UNLOADED, "loading"),
    ],
)
def test_the_network_hears_it_in_a_word(
    decision: Decision | None, phase: EnginePhase, status: str
) -> None:
    """A model that is not there is worse than a hot one."""
    assert mdns_status(decision, EngineState(phase), resting=False) == status
    assert mdns_status(decision, EngineState(phase), resting=True) == "sleep"


@pytest.mark.parametrize(
    ("before", "temp_c", "shown"),
    [
        (None, 54.6, 55),
        (55, 54.6, 55),
        (55, 54.1, 55),
        (55, 55.9, 55),
        (55, 56.0, 56),
        (55, 53.9, 54),
        (55, None, None),
    ],
)
def test_a_temperature_is_shown_anew_when_it_has_moved_by_a_degree(
    before: int | None, temp_c: float | None, shown: int | None
) -> None:
    """Between 54.4 and 54.6 phones would hear of it every second."""
    assert shown_c(before, temp_c) == shown
