"""Which sensors are the processor's, and where each board slows itself down. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inglenook.governor.sensor import Trip


@dataclass(frozen=True, slots=True)
class Board:
    """A kind of board.

    Attributes:
        name: For people.
        pattern: What its device tree or ``cpuinfo`` says of it.
        throttle_c: Where it slows down by itself if none of its trip points says so.
    """

    name: str
    pattern: str
    throttle_c: float


#: Raspberry Pi's firmware lowers the clock step by step from 80 °C on (its documentation on
#: frequency management) and has no passive trip point. The RK3588's cores have one at 85 °C in
#: Linux's device tree; its `package-thermal` has none, nor have most zones of vendors' kernels.
BOARDS = (
    Board("Raspberry Pi 5", r"bcm2712|Raspberry Pi (?:5|Compute Module 5)", 80.0),
    Board("Raspberry Pi 4", r"bcm2711|Raspberry Pi (?:4|Compute Module 4)", 80.0),
    Board("Raspberry Pi", r"raspberrypi,|Raspberry Pi", 80.0),
    Board("RK3588", r"rk3588", 85.0),
    Board("Intel processor", r"GenuineIntel", 85.0),
    Board("AMD processor", r"AuthenticAMD", 85.0),
)
UNKNOWN = Board("unknown board", "", 85.0)

_CPU = re.compile(
    r"(?<![a-z])(?:cpu|soc(?![a-z])|package|bigcore|littlecore|cluster|x86_pkg|coretemp|k10temp"
    r"|zenpower)",
    re.IGNORECASE,
)

#: Intel's. Its trip points are marks any program may set to be told; nothing is cooled at them.
PACKAGE_ZONE = "x86_pkg_temp"

#: Intel's, too: how many °C below its maximum the processor is to slow itself down.
OFFSET_COOLER = "TCC Offset"

#: Not what a trip point of a processor can be: -274 and 0 stand for "none".
_TRIP_LEAST_C, _TRIP_MOST_C = 20.0, 150.0

#: Slowing down must begin before shutting down.
_BELOW_CRITICAL_C = 5.0


def recognise(text: str) -> Board:
    """Name the board by its device tree's ``compatible`` and ``model`` and by ``cpuinfo``."""
    for board in BOARDS:
        if re.search(board.pattern, text, re.IGNORECASE):
            return board
    return UNKNOWN


def is_cpu(name: str) -> bool:
    """Whether a zone or chip of this name is the processor's; a disk, radio or battery is not."""
    return _CPU.search(name) is not None


def is_cpu_cooler(kind: str) -> bool:
    """Whether a cooling device of this kind slows the processor down.

    `OFFSET_COOLER` is none: it is set once, and stays.
    """
    return kind.startswith(("cpufreq-", "thermal-cpufreq-", "idle-", "thermal-idle-")) or kind in (
        "Processor",
        "intel_powerclamp",
    )


def trip_limits(
    name: str, policy: str, trips: Sequence[Trip], board: Board
) -> tuple[float, float | None, str]:
    """Say where a zone's processor is slowed down, where it is shut down, and who says so.

    Args:
        name: The zone's.
        policy: The zone's. ``power_allocator`` begins at the first passive trip point, others at
            the one a cooling device is tied to.
        trips: The zone's.
        board: What to go by if they do not say.
    """
    trips = [trip for trip in trips if _TRIP_LEAST_C <= trip.temp_c <= _TRIP_MOST_C]
    critical_c = min((trip.temp_c for trip in trips if trip.kind == "critical"), default=None)
    passive = [trip for trip in trips if trip.kind == "passive" and name != PACKAGE_ZONE]
    tied = [trip for trip in passive if trip.cools_cpu]
    slowing = tied if tied and policy != "power_allocator" else passive
    slowing = slowing or [trip for trip in trips if trip.kind == "hot"]
    if slowing:
        first = min(slowing, key=lambda trip: trip.temp_c)
        return first.temp_c, critical_c, f"its {first.kind} trip point"
    passive_c = board.throttle_c
    if critical_c is not None:
        passive_c = min(passive_c, critical_c - _BELOW_CRITICAL_C)
    return passive_c, critical_c, f"the kernel does not say; assumed for: {board.name}"


def chip_limits(crit_c: float | None, offset_c: float, board: Board) -> tuple[float, str]:
    """Say where a processor with a sensor of its own slows itself down, and who says so.

    For coretemp ``crit`` is the junction's maximum, where the processor slows itself down; for
    k10temp it is the mark of its own heat control (Linux, Documentation/hwmon). ``max`` is for
    fans, and on old processors a made-up number.

    Args:
        crit_c: The sensor's ``crit``; None if it has none.
        offset_c: How far below that the processor has been told to slow down.
        board: What to go by if they do not say.
    """
    if crit_c is not None and _TRIP_LEAST_C <= crit_c - offset_c <= _TRIP_MOST_C:
        below = f" less {offset_c:g} °C of {OFFSET_COOLER}" if offset_c else ""
        return crit_c - offset_c, f"its critical mark{below}"
    return board.throttle_c, f"the kernel does not say; assumed for: {board.name}"


def chosen_labels(labels: Sequence[str]) -> list[str]:
    """Choose among the sensors of one processor's chip: the whole package, or the true die.

    AMD's ``Tctl`` is for fans, and up to 27 °C above ``Tdie`` where there are both.
    """
    for beginning in ("Package", "Tdie", "Tctl"):
        if chosen := [label for label in labels if label.startswith(beginning)]:
            return chosen
    return list(labels)
