"""What the operator may set about sleep. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerSettings:
    """When the box gives memory back.

    Attributes:
        unload_after_s: How long nobody asks before the model leaves memory, seconds; 0 is never.
    """

    unload_after_s: float = 900.0
