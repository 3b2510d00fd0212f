"""Which of a board's cores are worth computing on. Kind: rules.

Every matrix product is cut into even shares, so that it takes as long as the slowest core needs for
its own: k cores do k times what the slowest of them does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

#: Which share of the fastest makes a core one of the same kind. Capacity knows the design: an
#: RK3588's little cores have 39 % of it. By clock alone they have three quarters (1.8 of 2.4 GHz);
#: a PC's favoured cores are ahead of its others by a tenth at most.
_KIN_CAPACITY, _KIN_CLOCK = 0.75, 0.85

#: Others join the fastest kind only if all of them do so many times as much: capacity is not
#: measured with matrix products, at which little cores do worse.
_WORTH = 4 / 3

#: Arm's and Qualcomm's little cores, which issue in order: implementer and part (Linux,
#: arch/arm64/include/asm/cputype.h and arch/arm/include/asm/cputype.h).
_LITTLE = frozenset(
    {
        *((0x41, part) for part in (0xC05, 0xC07, 0xD02, 0xD03, 0xD04, 0xD05, 0xD46, 0xD80)),
        *((0x51, part) for part in (0x801, 0x803, 0x805)),
    }
)


@dataclass(frozen=True, slots=True)
class Core:
    """What the kernel says of a core.

    Attributes:
        number: Its own.
        capacity: How fast it is, by design and clock; the fastest core has 1024. So has every core
            of a board whose device tree says nothing of it. 0 if unknown.
        most_khz: Its highest clock; 0 if unknown.
        design: Implementer and part number of an Arm core; None if unknown.
    """

    number: int
    capacity: int = 0
    most_khz: int = 0
    design: tuple[int, int] | None = None


class CoreRule(StrEnum):
    """By which rule cores were chosen, for people."""

    CAPACITY = "the fastest kind, by capacity"
    CAPACITY_MORE = "by capacity they do at least a third more together than the fastest kind"
    DESIGN = "the fastest kind, by design"
    CLOCK = "the fastest kind, by clock"
    CLOCK_MORE = "by clock they do at least a third more together than the fastest kind"
    TOGETHER = "the fastest kind has one core only, which alone is too little"
    ALIKE = "nothing tells one from another"


@dataclass(frozen=True, slots=True)
class CoreChoice:
    """What was chosen.

    Attributes:
        cores: Those worth computing on.
        fastest: Those of the fastest kind.
        rule: Why.
    """

    cores: frozenset[int]
    fastest: frozenset[int]
    rule: CoreRule


def choose(cores: Sequence[Core]) -> CoreChoice:
    """Choose by capacity; where that is the same for all of them by design, and then by clock.

    Design comes before clock: little cores may have the higher one. How much slower another kind
    is can be told by capacity, and by the clocks of cores of one design; else the fastest kind
    computes alone.
    """
    capacities = {core.number: core.capacity for core in cores}
    if _tells(capacities):
        fastest = _fastest(capacities, _KIN_CAPACITY)
        return _with_more(capacities, fastest, CoreRule.CAPACITY, CoreRule.CAPACITY_MORE)
    clocks = {core.number: core.most_khz for core in cores}
    designs = {core.design for core in cores}
    everything = frozenset(capacities)
    if None not in designs and len(designs) > 1:
        big = frozenset(core.number for core in cores if core.design not in _LITTLE)
        if big and big != everything:
            return _not_alone(CoreChoice(big, big, CoreRule.DESIGN), everything)
    if not _tells(clocks):
        return CoreChoice(everything, everything, CoreRule.ALIKE)
    fastest = _fastest(clocks, _KIN_CLOCK)
    if None not in designs and len(designs) == 1:
        return _with_more(clocks, fastest, CoreRule.CLOCK, CoreRule.CLOCK_MORE)
    slower = {number: khz for number, khz in clocks.items() if number not in fastest}
    with_next = fastest | (_fastest(slower, _KIN_CLOCK) if slower else set())
    return _not_alone(CoreChoice(fastest, fastest, CoreRule.CLOCK), with_next)


def _tells(speeds: Mapping[int, int]) -> bool:
    """Whether all are known, and not all the same."""
    return all(speeds.values()) and len(set(speeds.values())) > 1


def _fastest(speeds: Mapping[int, int], kin: float) -> frozenset[int]:
    most = max(speeds.values())
    return frozenset(number for number, speed in speeds.items() if speed >= kin * most)


def _with_more(
    speeds: Mapping[int, int], fastest: frozenset[int], rule: CoreRule, rule_more: CoreRule
) -> CoreChoice:
    """The fastest kind, or the cores that do most in even shares if that is well worth it."""
    # Never one of several: it would leave the others idle, and is the one that everything else on
    # the box wants.
    sets = {
        speed: frozenset(number for number, other in speeds.items() if other >= speed)
        for speed in speeds.values()
    }
    work = {speed: speed * len(cores) for speed, cores in sets.items() if len(cores) > 1}
    best = max(work, key=lambda speed: (work[speed], speed))
    alone = len(fastest) * min(speeds[number] for number in fastest)
    if work[best] >= _WORTH * alone:
        return CoreChoice(sets[best], fastest, rule_more)
    return _not_alone(CoreChoice(fastest, fastest, rule), sets[best])


def _not_alone(choice: CoreChoice, others: frozenset[int]) -> CoreChoice:
    """The choice, or the others as well if it is of one core."""
    if len(choice.cores) > 1:
        return choice
    return CoreChoice(others, choice.fastest, CoreRule.TOGETHER)
