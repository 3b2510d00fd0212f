"""Whether a model fits into memory, and with how much context, before it is loaded. Kind: rules.

Linux promises memory it has not got and takes it back by killing, so asking it would not do.
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

#: The least that can be asked for.
LEAST_CELLS = 256

_RESERVE_BYTES = 128 * 2**20
_RESERVE_SHARE = 20

#: Of the prefix cache's two tiers.
_RAM_SHARE, _RAM_BYTES_MAX = 4, 2**30
_DISK_SHARE, _DISK_BYTES_MAX = 10, 4 * 2**30


@dataclass(frozen=True, slots=True)
class Memory:
    """What a model may be given.

    Attributes:
        available_bytes: Free, or could be made so without swapping.
        total_bytes: All there is; None if unknown.
    """

    available_bytes: int
    total_bytes: int | None = None

    @property
    def reserve_bytes(self) -> int:
        """What stays free for the kernel and for others: a twentieth, at least 128 MiB."""
        return max(_RESERVE_BYTES, (self.total_bytes or 0) // _RESERVE_SHARE)

    @property
    def budget_bytes(self) -> int:
        """What is left to take; below 0 if even the reserve is not free."""
        return self.available_bytes - self.reserve_bytes


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What the settings ask for; None is ``auto``.

    Attributes:
        context_tokens: Cells of the pool that all sequences share, one a token.
        cache_ram_bytes: Bound of the prefix cache's tier in memory.
    """

    context_tokens: int | None = None
    cache_ram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """What was decided; the first two numbers are meant as in `FitRequest`.

    Attributes:
        sequences: How many answers may be written at once: fewer than asked for where each takes
            memory of its own, and there is not enough of it.
    """

    context_tokens: int
    cache_ram_bytes: int
    sequences: int


class ContextError(StartupError):
    """``model.context`` asks for more or less than the model can hold.

    Attributes:
        requested: Cells asked for.
        most_cells: What all sequences together can use.
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
        cells: The context it was to have.
        need: What it would take with that.
        cache_ram_bytes: What the settings give to the prefix cache besides.
        memory: What there is.
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
    """Decide how large a context and a cache in memory the model is given, and how many answers.

    Args:
        info: The model.
        running: How it is to be run.
        wanted: What the settings say.
        memory: None if unknown: then numbers are believed, and ``auto`` is modest.

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
    """Give the bound of the tier in memory: a quarter of what is spare, at most 1 GiB.

    The other three quarters are for the files that the kernel caches and for whatever else the box
    does. A GiB holds the state of some 37,000 tokens of a model of 1.5 B parameters.

    Args:
        spare_bytes: What is free once the model is loaded and the system has its reserve.
    """
    return min(max(spare_bytes, 0) // _RAM_SHARE, _RAM_BYTES_MAX)


def auto_disk_bytes(free_bytes: int, kept_bytes: int) -> int:
    """Give the bound of the tier on disk: a tenth of what could be had, at most 4 GiB.

    Boxes boot from SD cards, which wear by what is written to them, and whose owner did not buy
    them for this: 4 GiB are the state of 150,000 tokens of a model of 1.5 B parameters, more than a
    household says in a day.

    Args:
        free_bytes: Free space of the file system.
        kept_bytes: What the cache has there already; counted as free, or the bound would shrink
            from start to start.
    """
    return min((free_bytes + kept_bytes) // _DISK_SHARE, _DISK_BYTES_MAX)
