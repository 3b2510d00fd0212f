"""Whether a temperature can be believed, by what its sensor said before. Kind: rules.

A sensor that never gave a reading is not there. One that gave one and stops is worse than none:
the chip may be cooking while it is silent. What cannot be so is passed over twice, as a driver
may stumble, and the last good reading stands in; the third time the sensor counts as faulty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

#: No processor that computes is colder or hotter; -273, 255 and the like are drivers' ways of
#: saying no. So is 0.
LEAST_C, MOST_C = -40.0, 150.0

#: What is faster is doubted. A PC that truly goes 30 °C in its first second of work is believed a
#: second later, as the allowance grows with the time since the last good reading.
JUMP_C_S = 25.0

#: Bad readings in a row that are passed over.
DOUBTS = 2

#: Good readings in a row, near each other, that make a faulty sensor a good one again.
REDEEMING = 3

#: A sensor that shows one and the same value through a rest of the engine and the work that
#: follows it is stuck. By itself standing still is nothing: the steps may be of 1 °C.
REST_S, WORK_S = 60.0, 120.0
REST_CORES, WORK_CORES = 0.1, 0.9


class SensorFault(StrEnum):
    """What is wrong with a sensor, for people."""

    SILENT = "gives no readings that can be so any more"
    STUCK = "does not move, whatever the engine does"


@dataclass(frozen=True, slots=True)
class SensorHistory:
    """What is remembered of a sensor that has given a reading.

    Attributes:
        temp_c: The last that was believed.
        at_s: When that was.
        fault: What is wrong with it; None if it is good.
        doubts: Bad readings since, in a row.
        near_c: While it is faulty, its last good reading.
        redeeming: And how many of them there are in a row.
        rested_s: How long the engine has rested while the value stood still.
        worked_s: And how long it has worked thereafter.
    """

    temp_c: float
    at_s: float
    fault: SensorFault | None = None
    doubts: int = 0
    near_c: float | None = None
    redeeming: int = 0
    rested_s: float = 0.0
    worked_s: float = 0.0


def assess(
    past: SensorHistory | None, reading_c: float | None, engine_cores: float, now: float
) -> SensorHistory | None:
    """Take one reading of a sensor into its past.

    Args:
        past: What is remembered; None if it has given no reading yet.
        reading_c: Degrees Celsius; None if it could not be read.
        engine_cores: How many cores the engine has kept busy since the last reading.
        now: Monotonic seconds.
    """
    if reading_c is not None and (not LEAST_C <= reading_c <= MOST_C or reading_c == 0):
        reading_c = None
    if past is None:
        return None if reading_c is None else SensorHistory(reading_c, now)
    if past.fault is not None:
        return _redeem(past, reading_c, now)
    if reading_c is None or _is_jump(reading_c, past.temp_c, now - past.at_s):
        doubts = past.doubts + 1
        return replace(past, doubts=doubts, fault=SensorFault.SILENT if doubts > DOUBTS else None)
    if reading_c != past.temp_c:
        return SensorHistory(reading_c, now)
    return _stand_still(past, engine_cores, now)


def _is_jump(reading_c: float, before_c: float, elapsed_s: float) -> bool:
    return abs(reading_c - before_c) > JUMP_C_S * max(1.0, elapsed_s)


def _redeem(past: SensorHistory, reading_c: float | None, now: float) -> SensorHistory:
    """Believe a faulty sensor again after enough readings that fit together."""
    if reading_c is None or (past.fault is SensorFault.STUCK and reading_c == past.temp_c):
        return replace(past, redeeming=0, near_c=None)
    fits = past.near_c is not None and not _is_jump(reading_c, past.near_c, 1.0)
    redeeming = past.redeeming + 1 if fits else 1
    if redeeming >= REDEEMING:
        return SensorHistory(reading_c, now)
    return replace(past, redeeming=redeeming, near_c=reading_c)


def _stand_still(past: SensorHistory, engine_cores: float, now: float) -> SensorHistory:
    """The same value once more: see whether what the engine does should have moved it."""
    elapsed_s = now - past.at_s
    rested_s, worked_s = past.rested_s, 0.0
    if engine_cores <= REST_CORES:
        rested_s += elapsed_s
    elif rested_s < REST_S:
        # Too short to cool down in.
        rested_s = 0.0
    elif engine_cores >= WORK_CORES:
        worked_s = past.worked_s + elapsed_s
    fault = SensorFault.STUCK if worked_s >= WORK_S else None
    return SensorHistory(past.temp_c, now, fault, rested_s=rested_s, worked_s=worked_s)
