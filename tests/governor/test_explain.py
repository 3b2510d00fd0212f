"""What people are told: what is so, what is done, what would change it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.limits import Capacity
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.readings import FirmwareFlags, MemoryReadings, Neighbour, Readings, Zone

MIB = 2**20
CAPACITY = Capacity(max_active=4, threads=4)
MEMORY = MemoryReadings(total_bytes=4000 * MIB, available_bytes=2000 * MIB)
LOW = Zone("cpu-thermal", 40.0, 67.0, 107.0, 37.0)
COOL = Readings(zones=(Zone("cpu-thermal", 45.0, 80.0),), memory=MEMORY)


def told(readings: Readings, seconds: int) -> str:
    state, sentence = PolicyState(), ""
    for second in range(seconds):
        state, decision = decide(state, readings, CAPACITY, float(second), busy=True)
        sentence = decision.sentence
    return sentence


def at(temp_c: float, **others: object) -> Readings:
    return replace(COOL, zones=(Zone("cpu-thermal", temp_c, 80.0),), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("readings", "seconds", "sentence"),
    [
        (at(45.0), 1, "45 °C, 35 °C below where the board slows itself down"),
        (
            at(66.0),
            1,
            "66 °C, 14 °C below where the board slows itself down: computing 61 % of the time with"
            " 3 threads, 4 answers at once; more if it stays there",
        ),
        (
            at(81.0, throttled_by_kernel=True),
            1,
            "81 °C, 1 °C above where the board slows itself down, which it is doing: computing 2 %"
            " of the time with 3 threads, 2 answers at once; more when it is below 77 °C",
        ),
        (
            at(95.0),
            1,
            "95 °C, 15 °C above where the board slows itself down: paused until it is below 80 °C;"
            " see to its cooling",
        ),
        # The kernel slows the processor for what working less would not cure ...
        (
            at(60.0, throttled_by_kernel=True, neighbours=(Neighbour("skin", 50.0, 42.0, 60.0),)),
            1,
            "60 °C, 20 °C below where the board slows itself down: computing 91 % of the time with"
            " 3 threads, 4 answers at once; more if it stays there; the kernel slows the processor"
            " for skin (50 °C, from 42 °C on), which working less would not cure",
        ),
        (
            replace(COOL, zones=(LOW,), throttled_by_kernel=True),
            1,
            "40 °C, 27 °C below its limit; the kernel slows the processor for cpu-thermal (40 °C,"
            " from 37 °C on), which working less would not cure",
        ),
        # ... for what cannot be told ...
        (
            at(45.0, throttled_by_kernel=True),
            1,
            "45 °C, 35 °C below where the board slows itself down; the kernel slows the processor,"
            " and not for its heat",
        ),
        # ... and what ends the box.
        (
            at(60.0, neighbours=(Neighbour("skin-temp-thermal", 59.0, 42.0, 60.0),)),
            1,
            "skin-temp-thermal is at 59 °C, and at 60 °C the board switches itself off: paused"
            " until it is below 53 °C; see to its cooling",
        ),
        (
            replace(COOL, faulty=("cpu-thermal",), zones=()),
            1,
            "The sensor cpu-thermal has stopped working, so the box works as if it were hot:"
            " computing 62 % of the time with 3 threads, 4 answers at once, until it can be read"
            " again",
        ),
        (
            replace(COOL, zones=()),
            1,
            "No temperature sensor of the processor, so heat limits nothing",
        ),
        (
            replace(COOL, zones=(), freq_ratio=0.75),
            1,
            "No temperature sensor of the processor; the clock is held at 75 % of its highest, by"
            " heat or by a setting",
        ),
        (
            replace(COOL, zones=(), throttled_by_kernel=True),
            1,
            "No temperature sensor of the processor, but the clock is being held down: working with"
            " half the power",
        ),
        (
            replace(COOL, memory=replace(MEMORY, available_bytes=150 * MIB)),
            1,
            "150.0 MiB of memory are left: no new questions are taken, until 300.0 MiB have been"
            " free for a while",
        ),
        (
            replace(COOL, memory=replace(MEMORY, psi_some_avg10=22.0)),
            1,
            "Programs wait for memory 22 % of the time: no new questions are taken, until 300.0 MiB"
            " have been free for a while",
        ),
        (
            replace(COOL, memory=replace(MEMORY, available_bytes=40 * MIB)),
            30,
            "40.0 MiB of memory are left: the model is unloaded and all answers wait, until"
            " 300.0 MiB have been free for a while",
        ),
        (
            replace(COOL, firmware=FirmwareFlags(undervoltage=True)),
            1,
            "The power supply gives too little voltage (below 4.63 V): one answer at a time, until"
            " it has been good for a minute; use a stronger supply or a shorter cable",
        ),
        (
            replace(COOL, on_battery=True, battery_percent=17.0),
            1,
            "On battery with 17 % left: half of the answers wait, until it is charged",
        ),
    ],
)
def test_every_state_has_its_sentence(readings: Readings, seconds: int, sentence: str) -> None:
    """Numbers that were measured, and what would change them."""
    assert told(readings, seconds) == sentence


def test_memory_that_was_short_a_moment_ago_is_said_to_have_been() -> None:
    """It is enough again, but has not been for long."""
    short = replace(COOL, memory=replace(MEMORY, available_bytes=150 * MIB))
    state, _decision = decide(PolicyState(), short, CAPACITY, 0.0, busy=True)
    _state, decision = decide(state, COOL, CAPACITY, 1.0, busy=True)

    assert decision.sentence == (
        "Memory was short a moment ago: no new questions are taken, until 300.0 MiB have been free"
        " for a while"
    )
