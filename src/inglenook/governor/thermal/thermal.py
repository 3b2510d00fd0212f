"""What heat allows. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inglenook.governor.limits import Level
from inglenook.governor.readings import Neighbour, Readings, Zone
from inglenook.governor.thermal.effort import Effort, capped, cut, next_effort
from inglenook.governor.thermal.forecast import Forecast, look
from inglenook.governor.thermal.pausing import must_pause

#: A level begins when the predicted headroom is no more than this, in °C, worst first ...
_ENTER_C = ((Level.CRITICAL, 0.15), (Level.HOT, 6.0), (Level.WARM, 12.0))

#: ... and ends when it has been more than this for `_CALM_S`. Held at `effort.TARGET_C` of
#: headroom a box is hot, not critical.
_LEAVE_C = {Level.CRITICAL: 0.5, Level.HOT: 9.0, Level.WARM: 15.0}
_CALM_S = 15.0

#: A clock held down this far from the limit is not held down by heat.
_NOT_HEAT_C = 12.0

#: Below the limit by this much, effort rises for sure.
COOL_AGAIN_C = 3.0

#: Whatever the sensor would say: with half the effort no board has been seen to get too hot.
BLIND_EFFORT = 0.5

#: The kernel goes on slowing the processor until it is so much cooler than where it began to.
_HYSTERESIS_C = 5.0

_SEVERITY = {Level.UNKNOWN: 0, Level.COOL: 0, Level.WARM: 1, Level.HOT: 2, Level.CRITICAL: 3}


@dataclass(frozen=True, slots=True)
class Heat:
    """What is known of the heat, from one second to the next.

    Attributes:
        level: How hot it is.
        effort: Share of full power to be spent.
        zone: The sensor nearest to its limit; None without any.
        forecast: Of that sensor's headroom.
        calm_s: Since when `level` could be left; None while it could not.
        throttled: The kernel or the firmware is slowing the processor, for heat.
        held_by: For what the kernel is slowing it that working less would not cure; None if it
            is not, or not for that.
        faulty: Sensors that have stopped working.
        paused: Nothing is to be computed at all.
    """

    level: Level = Level.UNKNOWN
    effort: Effort = field(default_factory=Effort)
    zone: Zone | None = None
    forecast: Forecast | None = None
    calm_s: float | None = None
    throttled: bool = False
    held_by: Zone | Neighbour | None = None
    faulty: tuple[str, ...] = ()
    paused: bool = False


def next_heat(before: Heat, readings: Readings, now: float, *, busy: bool) -> Heat:
    """Take in one second's readings; see `effort.next_effort` for ``busy``."""
    if not readings.zones:
        return _blind(before, readings, now)
    zone = min(readings.zones, key=_headroom_c)
    headroom_c = _headroom_c(zone)
    forecast = look(before.forecast, headroom_c, now)
    held_by = held_back_by(readings)
    throttled = _slowed(readings, held_by) and headroom_c < _NOT_HEAT_C
    # What was added shows as a rise, and ends where it was meant to.
    catching_up = before.effort.is_catching_up(now)
    ahead_c = forecast.headroom_c if catching_up else forecast.predicted_c
    reached = Level.CRITICAL if throttled else _reached(ahead_c)
    if readings.faulty:
        reached = max(reached, Level.HOT, key=_SEVERITY.__getitem__)
    level, calm_s = _held(before, reached, forecast, now)
    effort = next_effort(before.effort, forecast, now, busy=busy)
    if reached is Level.CRITICAL:
        effort = cut(effort, now)
    if readings.faulty:
        effort = capped(effort, BLIND_EFFORT, now)
    paused = must_pause(readings, paused=before.paused)
    return Heat(level, effort, zone, forecast, calm_s, throttled, held_by, readings.faulty, paused)


def _blind(before: Heat, readings: Readings, now: float) -> Heat:
    """Without a sensor: nothing is known, unless one has failed or the clock says it is hot."""
    held_by = held_back_by(readings)
    throttled = _slowed(readings, held_by)
    paused = must_pause(readings, paused=before.paused)
    if readings.faulty or throttled:
        effort = capped(before.effort, BLIND_EFFORT, now)
        return Heat(
            Level.HOT,
            effort,
            calm_s=now,
            throttled=throttled,
            held_by=held_by,
            faulty=readings.faulty,
            paused=paused,
        )
    if before.level is Level.HOT and now - (before.calm_s or now) < _CALM_S:
        return replace(before, throttled=False, held_by=held_by, paused=paused)
    return Heat(effort=replace(Effort(), at_s=now), held_by=held_by, paused=paused)


def _held(
    before: Heat, reached: Level, forecast: Forecast, now: float
) -> tuple[Level, float | None]:
    """Worse at once, better only after a while; also since when it could be better."""
    if _SEVERITY[reached] >= _SEVERITY[before.level]:
        return reached, None
    if forecast.predicted_c <= _LEAVE_C[before.level] or reached is before.level:
        return before.level, None
    since_s = now if before.calm_s is None else before.calm_s
    return (reached, None) if now - since_s >= _CALM_S else (before.level, since_s)


def _reached(predicted_c: float) -> Level:
    for level, headroom_c in _ENTER_C:
        if predicted_c <= headroom_c:
            return level
    return Level.COOL


def held_back_by(readings: Readings) -> Zone | Neighbour | None:
    """For what the kernel slows the processor that working less would not cure."""
    if not readings.throttled_by_kernel:
        return None
    parts: list[Zone | Neighbour] = [*readings.neighbours, *readings.zones]
    beyond = {
        part.temp_c - part.slows_from_c: part
        for part in parts
        if part.slows_from_c is not None and part.temp_c > part.slows_from_c - _HYSTERESIS_C
    }
    return beyond[max(beyond)] if beyond else None


def _slowed(readings: Readings, held_by: Zone | Neighbour | None) -> bool:
    """Whether something holds the clock down that computing less would cure.

    An under-voltage holds it down too, and is no heat.
    """
    flags = readings.firmware
    by_firmware = flags is not None and not flags.undervoltage
    return (readings.throttled_by_kernel and held_by is None) or (
        by_firmware
        and flags is not None
        and (flags.throttled or flags.freq_capped or flags.soft_limit)
    )


def _headroom_c(zone: Zone) -> float:
    return zone.passive_c - zone.temp_c
