"""What was found on a board before anything is read off it. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class CoolingBinding(Enum):
    """What the kernel does about a trip point: it turns what is tied to it by a cooling map."""

    NOTHING = auto()
    CPU = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class TripPoint:
    """A temperature at which the kernel does something, if anything is tied to it.

    Attributes:
        kind: ``active`` or ``passive``, which turn what is tied to them alike; ``hot`` (tells
            drivers) or ``critical`` (shuts down).
        temp_c: Degrees Celsius.
        tie: Whether that slows the processor down.
    """

    kind: str
    temp_c: float
    tie: CoolingBinding = CoolingBinding.NOTHING


@dataclass(frozen=True, slots=True)
class ThermalZone:
    """What the kernel says of one of its thermal zones.

    Attributes:
        name: Its type; most boards have each once.
        path: The file with its reading.
        policy: By which the kernel cools it.
        disabled: The kernel does nothing about it.
        trips: In any order.
    """

    name: str
    path: str
    policy: str = "step_wise"
    disabled: bool = False
    trips: tuple[TripPoint, ...] = ()


class CountingRule(StrEnum):
    """By which rule a sensor counts, for people."""

    TIED = "counts as the processor's cooling is tied to it"
    NAMED = "counts by its name"
    LEFT = "counts as none does by tie or name, and this is not known as another part's"


class LimitSource(StrEnum):
    """Where a limit is from, for people; what is more particular follows it."""

    PASSIVE = "its passive trip point"
    ACTIVE = "its active trip point, to which the processor's cooling is tied"
    HINT = "its passive trip point, to which nothing is tied"
    LEAST = "the least that another zone here tells"
    CHIP = "its critical mark"
    UNKNOWN = "the kernel does not say"


@dataclass(frozen=True, slots=True)
class Sensor:
    """A temperature sensor.

    Attributes:
        name: Never twice on one board.
        path: The file with its reading, in thousandths of a degree Celsius.
        counts: It is the processor's, and no other says the same.
        why: By which rule it counts (`CountingRule`), or why it does not.
        passive_c: What is kept to: where the board begins to slow itself down, degrees Celsius.
        source: Where that is from; begins with a `LimitSource`.
        critical_c: Where the kernel shuts it down; None if it does not say.
        slows_from_c: Where the kernel slows the processor already, if a box at work cannot stay
            below that, or if it does so for another part.
    """

    name: str
    path: str
    counts: bool
    why: str
    passive_c: float
    source: str = ""
    critical_c: float | None = None
    slows_from_c: float | None = None


@dataclass(frozen=True, slots=True)
class CoolingDevice:
    """A cooling device: something the kernel can turn to make a zone cooler.

    Attributes:
        name: Its kind, as the kernel calls it.
        path: The file that says how far it is turned; 0 is off.
        counts: Turning it slows the processor down.
    """

    name: str
    path: str
    counts: bool


@dataclass(frozen=True, slots=True)
class SourceReport:
    """A line for the operator on one source of readings.

    Attributes:
        what: What it is.
        reads: What it says now, with its unit; or why it says nothing.
        counts: The governor uses it.
        note: Limits it has, or why it does not count; may be empty.
        path: Where it stands; empty if it was not found.
    """

    what: str
    reads: str
    counts: bool
    note: str = ""
    path: str = ""
