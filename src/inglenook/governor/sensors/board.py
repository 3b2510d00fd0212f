"""Which boards there are, what slows their processors, and chips that know. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inglenook.governor.sensors.sensor import LimitSource
from inglenook.governor.sensors.trips import can_be


@dataclass(frozen=True, slots=True)
class BoardProfile:
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
#: Linux's device tree; most zones of vendors' kernels have none.
BOARDS = (
    BoardProfile("Raspberry Pi 5", r"bcm2712|Raspberry Pi (?:5|Compute Module 5)", 80.0),
    BoardProfile("Raspberry Pi 4", r"bcm2711|Raspberry Pi (?:4|Compute Module 4)", 80.0),
    BoardProfile("Raspberry Pi", r"raspberrypi,|Raspberry Pi", 80.0),
    BoardProfile("RK3588", r"rk3588", 85.0),
    BoardProfile("Intel processor", r"GenuineIntel", 85.0),
    BoardProfile("AMD processor", r"AuthenticAMD", 85.0),
)
UNKNOWN = BoardProfile("unknown board", "", 85.0)

#: Intel's: how many °C below its maximum the processor is to slow itself down.
OFFSET_COOLER = "TCC Offset"


def recognise(text: str) -> BoardProfile:
    """Name the board by its device tree's ``compatible`` and ``model`` and by ``cpuinfo``."""
    for board in BOARDS:
        if re.search(board.pattern, text, re.IGNORECASE):
            return board
    return UNKNOWN


def is_cpu_cooler(kind: str) -> bool:
    """Whether a cooling device of this kind slows the processor down.

    ``heavy`` is the throttle of NVIDIA's soctherm. `OFFSET_COOLER` is none: it is set once, and
    stays.
    """
    return kind.startswith(("cpufreq-", "thermal-cpufreq-", "idle-", "thermal-idle-")) or kind in (
        "Processor",
        "intel_powerclamp",
        "heavy",
    )


def chip_limits(crit_c: float | None, offset_c: float, board: BoardProfile) -> tuple[float, str]:
    """Say where a processor with a sensor of its own slows itself down, and who says so.

    For coretemp ``crit`` is the junction's maximum, where the processor slows itself down; for
    k10temp it is the mark of its own heat control (Linux, Documentation/hwmon). ``max`` is for
    fans, and on old processors a made-up number.

    Args:
        crit_c: The sensor's ``crit``; None if it has none.
        offset_c: How far below that the processor has been told to slow down.
        board: What to go by if they do not say.
    """
    if crit_c is not None and can_be(crit_c - offset_c):
        below = f" less {offset_c:g} °C of {OFFSET_COOLER}" if offset_c else ""
        return crit_c - offset_c, f"{LimitSource.CHIP}{below}"
    return board.throttle_c, f"{LimitSource.UNKNOWN}; assumed for: {board.name}"


def chosen_labels(labels: Sequence[str]) -> list[str]:
    """Choose among the sensors of one processor's chip: the whole package, or the true die.

    AMD's ``Tctl`` is for fans, and up to 27 °C above ``Tdie`` where there are both.
    """
    for beginning in ("Package", "Tdie", "Tctl"):
        if chosen := [label for label in labels if label.startswith(beginning)]:
            return chosen
    return list(labels)
