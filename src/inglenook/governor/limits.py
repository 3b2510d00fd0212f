"""The decisions of the governor, and their reasons. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How near the processor is to being slowed by the kernel or the firmware, told ahead."""

    COOL = "cool"
    WARM = "warm"
    HOT = "hot"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class LimitReason(StrEnum):
    """What holds the box back."""

    NONE = "none"
    THERMAL = "thermal"
    MEMORY = "memory"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the box does when nothing holds it back.

    Attributes:
        max_active: Answers written at once.
        threads: Compute threads.
        step_budget_s: How long one step may take while other requests decode.
        ram_cache_bytes: Bound of the prefix cache's tier in memory.
        clocks: Caps that may be set on the processor's clock, as shares of its highest; 1 is one.
    """

    max_active: int
    threads: int
    step_budget_s: float = 0.2
    ram_cache_bytes: int = 0
    clocks: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is allowed from now on.

    Attributes:
        level: How hot it is.
        reason: What holds the box back most; `LimitReason.NONE` if nothing does.
        max_active: Answers written at once; those beyond it stand aside and go on later.
        threads: Compute threads.
        clock: Cap of the processor's clock, one of `Capacity.clocks`.
        duty: Share of time to compute in; 0 pauses.
        step_budget_s: How long one step may take while other requests decode.
        ram_cache_bytes: Bound of the prefix cache's tier in memory.
        admit: Whether new questions are taken.
        unload: Whether the model must leave memory.
        eta_s: Earliest time from now at which more may be allowed; None if nothing holds it back.
        sentence: All this for people: what is so, what is done, and what would change it.
    """

    level: Level
    reason: LimitReason
    max_active: int
    threads: int
    clock: float
    duty: float
    step_budget_s: float
    ram_cache_bytes: int
    admit: bool
    unload: bool
    eta_s: float | None
    sentence: str
