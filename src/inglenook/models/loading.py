"""How a model is loaded on this board: by settings, then by measurements. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inglenook.models.footprint import Running
from inglenook.models.info import KvType, ModelInfo
from inglenook.models.preflight import FitRequest, Memory, fit_model

if TYPE_CHECKING:
    from inglenook.models.tuning import Tuning


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Settings of the owner; None is ``auto``.

    Attributes:
        sequences: Number of answers that may run at once.
        context_tokens: Cells of the pool that all sequences share, one a token.
        kv_type: Type of the cells.
        threads: Compute threads.
        cache_ram_bytes: Bound of the prefix cache's tier in memory.
        speculate: Drafts are computed, too.
    """

    sequences: int
    context_tokens: int | None = None
    kv_type: KvType | None = "f16"
    threads: int | None = None
    cache_ram_bytes: int | None = None
    speculate: bool = False


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How it is loaded; the fields are those of `engine.messages.LoadModel` and `PrefixCache`."""

    context_tokens: int
    kv_type: KvType
    threads: int | None
    ubatch_tokens: int
    flash_attention: Literal["auto", "on", "off"]
    cache_ram_bytes: int
    sequences: int


def plan_load(
    info: ModelInfo, settings: LoadSettings, tuning: Tuning | None, memory: Memory | None
) -> LoadPlan:
    """Combine settings, measurements, and what fits into memory.

    Args:
        info: The model.
        settings: The owner's settings.
        tuning: Result of ``inglenook tune`` for this model on this board, if it has run. It is
            valid only for its own number of threads.
        memory: Memory for the model; None if unknown.

    Raises:
        ContextError: If the sequences could not use the context asked for.
        NoRoomError: If it does not fit.
    """
    if settings.threads is not None:
        tuning = None
    kv_type = settings.kv_type or (tuning.kv_type if tuning else "f16")
    ubatch_tokens = tuning.ubatch_tokens if tuning else 512
    flash_attention = tuning.flash_attention if tuning else "auto"
    # `auto` turns it on wherever there is a kernel for it; a quantised pool cannot be without it.
    flash = flash_attention != "off" or kv_type != "f16"
    running = Running(settings.sequences, kv_type, ubatch_tokens, flash, settings.speculate)
    wanted = FitRequest(settings.context_tokens, settings.cache_ram_bytes)
    fit = fit_model(info, running, wanted, memory)
    return LoadPlan(
        context_tokens=fit.context_tokens,
        kv_type=kv_type,
        threads=settings.threads or (tuning.threads if tuning else None),
        ubatch_tokens=ubatch_tokens,
        flash_attention=flash_attention,
        cache_ram_bytes=fit.cache_ram_bytes,
        sequences=fit.sequences,
    )
