"""Memory preflight: whether a model fits, and with how much context, before loading. Kind: rules.

Linux overcommits memory and kills processes for it, so an allocation that succeeds proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.models.choices import (
    choose_context,
    choose_sequences,
    largest_context,
    modest_context,
)
from inglenook.models.footprint import Footprint, Running, footprint
from inglenook.models.info import ModelInfo

#: Least context that can be requested.
LEAST_CELLS = 256

_RESERVE_BYTES = 128 * 2**20
_RESERVE_SHARE = 20

#: Shares and limits of the prefix cache's two tiers.
_RAM_SHARE, _RAM_BYTES_MAX = 4, 2**30
_DISK_SHARE, _DISK_BYTES_MAX = 10, 4 * 2**30


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory for a model.

    Attributes:
        available_bytes: Free, or can be freed without swapping.
        total_bytes: All memory; None if unknown.
    """

    available_bytes: int
    total_bytes: int | None = None

    @property
    def reserve_bytes(self) -> int:
        """Memory left free for the kernel and other programs: a twentieth, at least 128 MiB."""
        return max(_RESERVE_BYTES, (self.total_bytes or 0) // _RESERVE_SHARE)

    @property
    def budget_bytes(self) -> int:
        """Memory left to take; below 0 if even the reserve is not free."""
        return self.available_bytes - self.reserve_bytes


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Request of the settings; None is ``auto``.

    Attributes:
        context_tokens: Cells of the pool that all sequences share, one a token.
        cache_ram_bytes: Bound of the prefix cache's tier in memory.
    """

    context_tokens: int | None = None
    cache_ram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Decision; the first two numbers are as in `FitRequest`.

    Attributes:
        sequences: Number of answers that may run at once: fewer than requested if each takes memory
            of its own, and there is too little.
    """

    context_tokens: int
    cache_ram_bytes: int
    sequences: int


class ContextError(StartupError):
    """``model.context`` asks for more or less than the model can hold.

    Attributes:
        requested: Requested cells.
        most_cells: Cells that all sequences together can use.
    """

    def __init__(self, requested: int, most_cells: int) -> None:
        super().__init__(requested, most_cells)
        self.requested = requested
        self.most_cells = most_cells

    def __str__(self) -> str:
        return (
            f"model.context: {self.requested} is not between {LEAST_CELLS} and {self.most_cells},"
            " the context the model was trained on times engine.max_sequences; write a number in"
            " that range, or auto"
        )


class NoRoomError(StartupError):
    """The model does not fit into memory as it is to be run.

    Attributes:
        cells: The requested context.
        need: Its memory with that.
        cache_ram_bytes: Memory of the prefix cache by the settings.
        memory: The memory there is.
        largest_cells: The largest context that would fit; 0 if none does.
    """

    def __init__(
        self, cells: int, need: Footprint, cache_ram_bytes: int, memory: Memory, largest_cells: int
    ) -> None:
        super().__init__(cells, need, cache_ram_bytes, memory, largest_cells)
        self.cells = cells
        self.need = need
        self.cache_ram_bytes = cache_ram_bytes
        self.memory = memory
        self.largest_cells = largest_cells

    def __str__(self) -> str:
        need, memory = self.need, self.memory
        parts = [
            f"weights {format_bytes(need.weights_bytes)}",
            f"{self.cells} tokens of context {format_bytes(need.kv_bytes)}",
            f"working memory {format_bytes(need.work_bytes)}",
        ]
        if need.states_bytes:
            parts.insert(2, f"running states {format_bytes(need.states_bytes)}")
        if self.cache_ram_bytes:
            parts.append(f"cache.ram {format_bytes(self.cache_ram_bytes)}")
        whole_bytes = need.total_bytes + self.cache_ram_bytes
        return (
            f"this model needs {format_bytes(whole_bytes)} of memory ({', '.join(parts)}), and"
            f" {format_bytes(memory.available_bytes)} are free, of which"
            f" {format_bytes(memory.reserve_bytes)} stay for the system; {self._remedy}"
        )

    @property
    def _remedy(self) -> str:
        if self.largest_cells:
            return (
                f"the largest context that would fit is {self.largest_cells} tokens:"
                " set model.context to that, or to auto"
            )
        lower = "lower cache.ram, " if self.cache_ram_bytes else ""
        return f"{lower}end other programs, or choose a smaller model"


def fit_model(info: ModelInfo, running: Running, wanted: FitRequest, memory: Memory | None) -> Fit:
    """Decide on the size of the context and of the cache in memory, and the number of answers.

    Args:
        info: The model.
        running: How it is to be run.
        wanted: The request of the settings.
        memory: None if unknown: then numbers are taken as they are, and ``auto`` is modest.

    Raises:
        ContextError: If the sequences could not use the context asked for.
        NoRoomError: If it does not fit.
    """
    most_cells = info.context_length * running.sequences
    cells = wanted.context_tokens
    if cells is not None and not LEAST_CELLS <= cells <= most_cells:
        raise ContextError(cells, most_cells)
    if memory is None:
        cells = cells or modest_context(most_cells)
        return Fit(cells, wanted.cache_ram_bytes or 0, running.sequences)
    ram_bytes = wanted.cache_ram_bytes or 0
    budget_bytes = memory.budget_bytes - ram_bytes
    running = replace(running, sequences=choose_sequences(info, running, cells, budget_bytes))
    if cells is None:
        cells = choose_context(info, running, budget_bytes)
    need = footprint(info, running, cells)
    spare_bytes = budget_bytes - need.total_bytes
    if spare_bytes < 0:
        largest = largest_context(info, running, cells, budget_bytes)
        raise NoRoomError(cells, need, ram_bytes, memory, largest)
    if wanted.cache_ram_bytes is None:
        ram_bytes = auto_ram_bytes(spare_bytes)
    return Fit(cells, ram_bytes, running.sequences)


def auto_ram_bytes(spare_bytes: int) -> int:
    """Return the limit of the RAM tier: a quarter of the spare memory, at most 1 GiB.

    The other three quarters are for files in the kernel's cache and for other programs. A GiB holds
    the state of some 37,000 tokens of a model of 1.5 B parameters.

    Args:
        spare_bytes: Memory free beside the loaded model and the reserve.
    """
    return min(max(spare_bytes, 0) // _RAM_SHARE, _RAM_BYTES_MAX)


def auto_disk_bytes(free_bytes: int, kept_bytes: int) -> int:
    """Return the limit of the disk tier: a tenth of the free space, at most 4 GiB.

    Boxes boot from SD cards, which wear with each write: 4 GiB are the state of 150,000 tokens of a
    model of 1.5 B parameters, more than a household's conversations of a day.

    Args:
        free_bytes: Free space of the file system.
        kept_bytes: Space the cache has already; counted as free, or the limit would shrink from
            start to start.
    """
    return min((free_bytes + kept_bytes) // _DISK_SHARE, _DISK_BYTES_MAX)
