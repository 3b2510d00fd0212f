"""What was found on a board before anything is read off it. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trip:
    """A temperature at which the kernel does something.

    Attributes:
        kind: ``active`` (a fan), ``passive`` (slows down), ``hot`` (tells drivers) or ``critical``
            (shuts down).
        temp_c: Degrees Celsius.
        cools_cpu: A cooling device of the processor is tied to it.
    """

    kind: str
    temp_c: float
    cools_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Sensor:
    """A temperature sensor.

    Attributes:
        name: Never twice on one board.
        path: The file with its reading, in thousandths of a degree Celsius.
        counts: It is the processor's, and no other says the same.
        why: Why it does not count, or where `passive_c` is from.
        passive_c: Where the board begins to slow itself down, degrees Celsius.
        critical_c: Where the kernel shuts it down; None if it does not say.
    """

    name: str
    path: str
    counts: bool
    why: str
    passive_c: float
    critical_c: float | None = None


@dataclass(frozen=True, slots=True)
class Cooler:
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
class Found:
    """A line for the operator on one source of readings.

    Attributes:
        what: What it is.
        reads: What it says now, with its unit; or why it says nothing.
        counts: The governor goes by it.
        note: Limits it has, or why it does not count; may be empty.
        path: Where it stands; empty if it was not found.
    """

    what: str
    reads: str
    counts: bool
    note: str = ""
    path: str = ""
