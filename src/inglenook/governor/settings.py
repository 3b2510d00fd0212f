"""What the operator may set about heat and memory. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GovernorSettings:
    """Whether the box is kept from overheating and running out of memory.

    Attributes:
        enabled: Slow down before the kernel must.
        root: Folder in which ``sys`` and ``proc`` stand.
    """

    enabled: bool = True
    root: Path = Path("/")
