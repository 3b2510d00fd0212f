"""How much the box may take on, as whoever watches heat and memory says. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass

from inglenook.common.errors import Problem
from inglenook.serving.response_parts import WaitReason


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """The latest counts.

    Attributes:
        max_active: Answers that may be written at once; 0 pauses them all.
        reason: What to tell those who wait for a place.
        refuse: What to tell newcomers; None lets them wait.
        read_ahead: Why nothing is read ahead; None lets it be.
    """

    max_active: int
    reason: WaitReason = WaitReason.BUSY
    refuse: Problem | None = None
    read_ahead: Problem | None = None
