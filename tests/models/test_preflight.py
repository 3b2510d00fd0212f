"""How much context and cache a model is given, and when it is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from inglenook.common.errors import StartupError
from inglenook.models.footprint import Running, footprint
from inglenook.models.info import KvType
from inglenook.models.preflight import Fit, FitRequest, Memory, NoRoomError, fit_model
from tests.models.facts import INFO

MIB, GIB = 2**20, 2**30

EIGHT = Running(8)
RESERVE_BYTES = 128 * MIB
WHATEVER = FitRequest()


def memory_for(cells: int, running: Running = EIGHT, *, more_bytes: int = 0) -> Memory:
    """Just enough for a pool of so many cells beside the reserve."""
    return Memory(footprint(INFO, running, cells).total_bytes + RESERVE_BYTES + more_bytes)


def memory_with_half_for(cells: int, running: Running = EIGHT) -> Memory:
    """Just enough that half of what is left beside the model holds so many cells."""
    bare_bytes = footprint(INFO, running, 0).total_bytes
    pool_bytes = footprint(INFO, running, cells).total_bytes - bare_bytes
    return Memory(bare_bytes + 2 * pool_bytes + RESERVE_BYTES)


@pytest.mark.parametrize(
    ("trained", "sequences", "memory", "cells"),
    [
        (4096, 8, None, 8192),  # memory unknown: as much as a household wants
        (4096, 8, Memory(64 * GIB), 8192),  # trained for less, but several share it
        (4096, 1, Memory(64 * GIB), 4096),  # what one sequence was trained on
        (1024, 2, Memory(64 * GIB), 2048),
        (16384, 8, Memory(64 * GIB), 16384),
        (16384, 8, None, 8192),
        (131072, 8, Memory(64 * GIB), 32768),  # nobody waits for so much to be read
        (16384, 8, memory_with_half_for(6144), 6144),
        (16384, 8, Memory(memory_with_half_for(6144).available_bytes - 2), 5888),
        (16384, 8, memory_for(4096), 4096),  # one conversation goes before the caches
        (16384, 8, memory_for(4096, more_bytes=MIB), 4096),
        (16384, 8, memory_for(2048), 2048),
        (16384, 8, memory_for(2048, more_bytes=-1), 1792),
        (16384, 8, memory_for(512), 512),
        (64, 1, Memory(GIB), 512),  # the library pads it to that anyway
    ],
)
def test_auto_is_the_largest_that_leaves_room(
    trained: int, sequences: int, memory: Memory | None, cells: int
) -> None:
    """Half of what is left, all of it up to one conversation, never more than is any use."""
    info = replace(INFO, context_length=trained)

    assert fit_model(info, Running(sequences), FitRequest(), memory).context_tokens == cells


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize("flash_attention", [True, False])
@pytest.mark.parametrize("available_mib", [450, 700, 1100, 3000])
def test_what_auto_chooses_fits_with_its_cache(
    *, kv_type: KvType, flash_attention: bool, available_mib: int
) -> None:
    """However the model is run; a smaller pool type holds no fewer tokens."""
    info = replace(INFO, context_length=131_072)
    running = Running(8, kv_type, 512, flash_attention)
    memory = Memory(available_mib * MIB)

    fit = fit_model(info, running, FitRequest(), memory)

    need_bytes = footprint(info, running, fit.context_tokens).total_bytes
    assert need_bytes + fit.cache_ram_bytes <= memory.budget_bytes
    assert fit.context_tokens % 256 == 0
    smaller = fit_model(info, replace(running, kv_type="q8_0"), FitRequest(), memory)
    assert smaller.context_tokens >= fit.context_tokens


def test_the_cache_gets_a_quarter_of_the_rest() -> None:
    """Of what is free once the pool is there."""
    memory = memory_for(1024, more_bytes=400 * MIB)

    assert fit_model(INFO, EIGHT, FitRequest(context_tokens=1024), memory) == Fit(
        1024, 100 * MIB, 8
    )


def test_a_cache_that_was_asked_for_comes_before_the_context() -> None:
    """The owner wrote a number; ``auto`` makes do with the rest."""
    memory = memory_with_half_for(6144)
    asked_bytes = 50 * MIB
    more = replace(memory, available_bytes=memory.available_bytes + asked_bytes)
    info = replace(INFO, context_length=16384)

    assert fit_model(info, EIGHT, FitRequest(None, asked_bytes), more) == Fit(6144, asked_bytes, 8)


@pytest.mark.parametrize("requested", [256, 1000, 32768])
@pytest.mark.parametrize("memory", [None, Memory(64 * GIB)])
def test_a_number_is_taken_as_it_is(requested: int, memory: Memory | None) -> None:
    """Whoever writes a number has their reasons, as long as it fits."""
    fit = fit_model(INFO, EIGHT, FitRequest(requested, 0), memory)

    assert fit == Fit(requested, 0, 8)


@pytest.mark.parametrize("requested", [-1, 0, 255, 32769])
def test_an_impossible_number_is_refused_with_the_range(requested: int) -> None:
    """The sentence says what was asked for and what may be."""
    with pytest.raises(StartupError, match=rf"{requested} is not between 256 and 32768"):
        fit_model(INFO, EIGHT, FitRequest(requested), None)


def test_answers_that_each_take_memory_are_as_many_as_fit() -> None:
    """Running states of 20 MiB may take a quarter of what is left; one answer there always is."""
    info = replace(INFO, layer_state=replace(INFO.layer_state, state_numbers=5 * MIB))
    one_bytes = footprint(info, Running(1), 512).total_bytes

    def answers(spare_mib: int, wanted: FitRequest = WHATEVER) -> int:
        memory = Memory(one_bytes + RESERVE_BYTES + spare_mib * MIB)
        return fit_model(info, EIGHT, wanted, memory).sequences

    assert [answers(spare_mib) for spare_mib in (0, 100, 250, 2000)] == [1, 2, 4, 8]
    assert answers(100, FitRequest(1024, 0)) == 5
    assert fit_model(INFO, EIGHT, WHATEVER, memory_for(512)).sequences == 8
    with pytest.raises(NoRoomError, match=r"running states 40\.0 MiB"):
        answers(-1)


def test_a_number_that_does_not_fit_is_refused_with_the_largest_that_would() -> None:
    """In numbers that add up, and with what to write instead."""
    with pytest.raises(NoRoomError) as refused:
        fit_model(INFO, EIGHT, FitRequest(8192), memory_for(2048, more_bytes=MIB))

    assert str(refused.value) == (
        "this model needs 465.8 MiB of memory (weights 100.0 MiB, 8192 tokens of context 256.0 MiB,"
        " working memory 109.8 MiB), and 395.9 MiB are free, of which 128.0 MiB stay for the"
        " system; the largest context that would fit is 2048 tokens: set model.context to that, or"
        " to auto"
    )
    largest = refused.value.largest_cells
    assert (
        fit_model(INFO, EIGHT, FitRequest(largest), refused.value.memory).context_tokens == largest
    )


@pytest.mark.parametrize(
    ("wanted", "memory", "remedy"),
    [
        (FitRequest(), memory_for(512, more_bytes=-1), "; end other programs, or choose a smaller"),
        (
            FitRequest(512),
            memory_for(512, more_bytes=-1),
            "; end other programs, or choose a smaller",
        ),
        (FitRequest(), Memory(0), "0 B are free"),
        (FitRequest(), Memory(100 * MIB), "; end other programs, or choose a smaller"),
        (
            FitRequest(None, GIB),
            Memory(GIB),
            r"cache.ram 1.0 GiB\), and .*; lower cache.ram, end other",
        ),
    ],
)
def test_without_room_for_any_context_it_says_what_else_helps(
    wanted: FitRequest, memory: Memory, remedy: str
) -> None:
    """A number that would be refused as well is never recommended."""
    with pytest.raises(NoRoomError) as refused:
        fit_model(INFO, EIGHT, wanted, memory)

    assert re.search(remedy, str(refused.value))
    assert refused.value.largest_cells == 0


@pytest.mark.parametrize(
    ("total_bytes", "reserve_mib"),
    [(None, 128), (GIB, 128), (2560 * MIB, 128), (4 * GIB, 204.8), (16 * GIB, 819.2)],
)
def test_something_is_kept_for_the_kernel(total_bytes: int | None, reserve_mib: float) -> None:
    """A twentieth, and never below 128 MiB."""
    memory = Memory(GIB, total_bytes)

    assert memory.reserve_bytes == pytest.approx(reserve_mib * MIB, abs=1)
    assert memory.budget_bytes == GIB - memory.reserve_bytes


def test_it_fits_again_when_memory_is_back() -> None:
    """The supervisor asks again; nothing here remembers the refusal."""
    tight, free = memory_for(512, more_bytes=-1), memory_for(512)

    with pytest.raises(NoRoomError):
        fit_model(INFO, EIGHT, FitRequest(), tight)
    assert fit_model(INFO, EIGHT, FitRequest(), free).context_tokens == 512
