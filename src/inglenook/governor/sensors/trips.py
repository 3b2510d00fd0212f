"""What the trip points of one zone say of where its processor is slowed down. Kind: rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inglenook.governor.sensors.sensor import CoolingBinding, LimitSource, ThermalZone, TripPoint

#: Intel's zone. Its trip points are marks any program may set to be told; nothing is cooled at
#: them.
PACKAGE_ZONE = "x86_pkg_temp"

#: A processor that computes is soon hotter than this, whatever it is allowed to do: a trip point
#: below it (47 °C on an MT7622) is the kernel's, which lowers the clock there, and no goal.
KEPT_FROM_C = 60.0

#: Nothing is done at a passive trip point to which nothing is tied, but from here on it is what the
#: board's makers had in mind. Below, it is not: 60 °C on an H616, 55 °C on an MSM8976.
_HINT_FROM_C = 85.0

#: Slowing down must begin before shutting down: by so much where it is assumed to, and by so much
#: at the least (`thermal` pauses 2 °C below).
_BELOW_CRITICAL_C, _LEAST_BELOW_CRITICAL_C = 5.0, 3.0

#: Not what a trip point of a processor can be: -274 and 0 stand for "none".
_LEAST_C, _MOST_C = 20.0, 150.0

_SOURCES = {"passive": LimitSource.PASSIVE, "active": LimitSource.ACTIVE}


@dataclass(frozen=True, slots=True)
class TripLimits:
    """What the trip points of a zone tell.

    Attributes:
        critical_c: Where the kernel shuts the board down; None if it does not say.
        slows_from_c: The first that slows the processor down; None if none does.
        limit_c: The first of those that a box at work can keep; None without any.
        source: What kind of trip point that is.
        hint_c: Where the processor would be slowed down if something were tied; None if nowhere.
        most_c: The most that may be assumed, infinity if anything may ...
        most_why: ... and what says so.
    """

    critical_c: float | None
    slows_from_c: float | None
    limit_c: float | None
    source: LimitSource
    hint_c: float | None
    most_c: float
    most_why: str


def can_be(temp_c: float) -> bool:
    """Whether a mark of a processor can be at this temperature."""
    return _LEAST_C <= temp_c <= _MOST_C


def told_by(zone: ThermalZone) -> TripLimits:
    """Read a zone's trip points.

    One slows the processor down if it is passive or active, and the processor's cooling is tied to
    it; the policy ``power_allocator`` begins at the first passive one all the same. One to which
    only a fan is tied, or another part's cooling, says nothing of the processor. ``hot`` slows
    nothing down, but nothing above it is assumed.
    """
    trips = [trip for trip in zone.trips if can_be(trip.temp_c)]
    if zone.name == PACKAGE_ZONE:
        trips = [trip for trip in trips if trip.kind == "critical"]
    critical_c = min((trip.temp_c for trip in trips if trip.kind == "critical"), default=None)
    slowing = sorted(_slowing(trips, zone.policy), key=lambda trip: trip.temp_c)
    kept = next((trip for trip in slowing if trip.temp_c >= KEPT_FROM_C), None)
    hints = [
        trip.temp_c
        for trip in trips
        if trip.kind == "passive"
        and trip.tie is CoolingBinding.NOTHING
        and trip.temp_c >= _HINT_FROM_C
    ]
    bounds = [
        (trip.temp_c, "its hot trip point")
        for trip in trips
        if trip.kind == "hot"
        and trip.tie is not CoolingBinding.OTHER
        and trip.temp_c >= KEPT_FROM_C
    ]
    if critical_c is not None:
        below = f"{_BELOW_CRITICAL_C:g} °C below where it shuts down"
        bounds.append((critical_c - _BELOW_CRITICAL_C, below))
    most_c, most_why = min(bounds, default=(math.inf, ""))
    return TripLimits(
        critical_c=critical_c,
        slows_from_c=slowing[0].temp_c if slowing else None,
        limit_c=None if kept is None else kept.temp_c,
        source=_SOURCES[kept.kind] if kept is not None else LimitSource.UNKNOWN,
        hint_c=min(hints, default=None),
        most_c=most_c,
        most_why=most_why,
    )


def _slowing(trips: Sequence[TripPoint], policy: str) -> list[TripPoint]:
    tied = [trip for trip in trips if trip.kind in _SOURCES and trip.tie is CoolingBinding.CPU]
    if tied and policy == "power_allocator":
        tied += [
            trip for trip in trips if trip.kind == "passive" and trip.tie is CoolingBinding.NOTHING
        ]
    return tied


def before_end(limit_c: float, critical_c: float | None) -> float:
    """Say what is left of a limit before the board shuts down."""
    return limit_c if critical_c is None else min(limit_c, critical_c - _LEAST_BELOW_CRITICAL_C)
