"""What the operator may set about the model and the engine. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KvType = Literal["f16", "q8_0"]

#: Folder of the prefix cache's files, in the state folder.
PREFIX_FOLDER = "prefix"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model is served.

    Attributes:
        path: The GGUF file; None means the starter model.
    """

    path: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the model is run.

    Attributes:
        context_tokens: Cells in the KV pool that all answers share; None means as many as memory
            allows, up to what the model was trained for.
        kv_type: Type of the pool's cells; ``q8_0`` takes about half the memory of ``f16``. None
            means what was measured to be faster on this board, and ``f16`` if nothing was.
        max_sequences: How many answers may be written at once.
        threads: Compute threads; None lets the engine choose by the cores it finds.
        step_budget_s: How long one step may take while somebody is reading along.
        speculation: ``auto`` drafts tokens by prompt lookup wherever that is measured to pay.
    """

    context_tokens: int | None = None
    kv_type: KvType | None = "f16"
    max_sequences: int = 8
    threads: int | None = None
    step_budget_s: float = 0.2
    speculation: Literal["off", "auto"] = "off"


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How much of what was already read is kept for next time.

    Attributes:
        ram_bytes: Bound of the tier in memory; None means by what is free, 0 is off.
        disk_bytes: Bound of the tier on disk; None means by what is free, 0 is off.
    """

    ram_bytes: int | None = None
    disk_bytes: int | None = None
