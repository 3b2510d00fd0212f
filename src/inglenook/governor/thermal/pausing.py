"""When nothing may be computed, so that the kernel does not switch the board off. Kind: rules."""

from __future__ import annotations

from inglenook.governor.readings import Neighbour, Readings

#: This far above the limit the kernel has done all it can; this near its end it switches off.
_ABOVE_C, _BELOW_CRITICAL_C = 8.0, 5.0

#: But never nearer than this to being switched off, and never below the limit itself.
_LATEST_BELOW_CRITICAL_C, _LEAST_ABOVE_C = 2.0, 0.5

#: How much cooler a case has to be for work to go on; what it holds it loses slowly.
_AGAIN_C = 5.0


def pause_c(passive_c: float, critical_c: float | None) -> float:
    """Say from where on nothing is computed.

    Args:
        passive_c: Where the board begins to slow itself down.
        critical_c: Where the kernel switches it off; None if it does not say.
    """
    if critical_c is None:
        return passive_c + _ABOVE_C
    # Intel's processors name one temperature for both.
    latest_c = max(critical_c - _LATEST_BELOW_CRITICAL_C, passive_c + _LEAST_ABOVE_C)
    return min(max(passive_c + _ABOVE_C, critical_c - _BELOW_CRITICAL_C), latest_c)


def neighbour_pause_c(critical_c: float) -> float:
    """Say from where on nothing is computed for another part's sake."""
    return critical_c - _LATEST_BELOW_CRITICAL_C


def neighbour_again_c(critical_c: float) -> float:
    """Say below which work goes on after such a pause."""
    return neighbour_pause_c(critical_c) - _AGAIN_C


def must_pause(readings: Readings, *, paused: bool) -> bool:
    """Whether nothing may be computed.

    Args:
        readings: The board, now.
        paused: Whether that was so before; it lasts until every sensor is well below.
    """
    return any(
        zone.temp_c >= pause_c(zone.passive_c, zone.critical_c)
        or (paused and zone.temp_c > zone.passive_c)
        for zone in readings.zones
    ) or any(_is_near_its_end(neighbour, paused=paused) for neighbour in readings.neighbours)


def pausing_neighbour(readings: Readings) -> Neighbour | None:
    """The other part for whose sake nothing may be computed in a pause; None if there is none."""
    near = (each for each in readings.neighbours if _is_near_its_end(each, paused=True))
    return next(near, None)


def _is_near_its_end(neighbour: Neighbour, *, paused: bool) -> bool:
    if neighbour.critical_c is None:
        return False
    from_c = (neighbour_again_c if paused else neighbour_pause_c)(neighbour.critical_c)
    return neighbour.temp_c >= from_c
