"""How many requests may be served, by heat and memory. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass

from inglenook.common.errors import Problem
from inglenook.serving.response_parts import WaitReason


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """The latest counts.

    Attributes:
        max_active: Answers that may be written at once; 0 pauses them all.
        reason: Why requests wait.
        refuse: Why requests are refused; None lets them wait.
        read_ahead: Why nothing is prefilled ahead; None allows it.
    """

    max_active: int
    reason: WaitReason = WaitReason.BUSY
    refuse: Problem | None = None
    read_ahead: Problem | None = None
