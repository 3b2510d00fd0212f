"""Which zones of a board count, and what is kept to for each of them. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

from inglenook.governor.sensors.board import BoardProfile
from inglenook.governor.sensors.names import is_processor, other_part
from inglenook.governor.sensors.sensor import CountingRule, LimitSource, Sensor, ThermalZone
from inglenook.governor.sensors.trips import KEPT_FROM_C, TripLimits, before_end, told_by

NOT_THE_PROCESSORS = "not the processor's"


def count_zones(zones: Sequence[ThermalZone], board: BoardProfile, *, chips: bool) -> list[Sensor]:
    """Say of each zone whether it counts and by which rule, and what is kept to.

    A zone counts because of what it is tied to, then by its name; and if none does, because it is
    not known as another part's.

    Args:
        zones: All there are.
        board: What to go by where no zone tells a limit.
        chips: Whether a chip of the processor counts, so that no zone has to stand in.
    """
    told = [told_by(zone) for zone in zones]
    rules = [_rule(zone, trips) for zone, trips in zip(zones, told, strict=True)]
    if not chips and not any(rules):
        rules = [None if other_part(zone.name) else CountingRule.LEFT for zone in zones]
    least = _least_told(zones, told, rules)
    return [
        _sensor(zone, trips, rule, board, least)
        for zone, trips, rule in zip(zones, told, rules, strict=True)
    ]


def _rule(zone: ThermalZone, told: TripLimits) -> CountingRule | None:
    """Whether a zone counts by its tie or its name.

    Of another part's zone all trip points must be such as can be kept: a case that is to stay
    below 42 °C, or a regulator below 50, is not cured by computing less.
    """
    is_own = is_processor(zone.name)
    if told.slows_from_c is not None and (is_own or told.slows_from_c >= KEPT_FROM_C):
        return CountingRule.TIED
    return CountingRule.NAMED if is_own else None


def _least_told(
    zones: Sequence[ThermalZone], told: Sequence[TripLimits], rules: Sequence[CountingRule | None]
) -> tuple[float, str] | None:
    """The lowest limit that a zone of the processor has, and which; hints if none has one."""
    own = [
        (zone.name, trips)
        for zone, trips, rule in zip(zones, told, rules, strict=True)
        if rule is not None and not other_part(zone.name)
    ]
    limits = [(trips.limit_c, name) for name, trips in own if trips.limit_c is not None]
    hints = [(trips.hint_c, name) for name, trips in own if trips.hint_c is not None]
    return min(limits or hints, default=None)


def _sensor(
    zone: ThermalZone,
    told: TripLimits,
    rule: CountingRule | None,
    board: BoardProfile,
    least: tuple[float, str] | None,
) -> Sensor:
    limit_c, source = _limit(told, board, least)
    slows_from_c = told.slows_from_c
    if rule is not None and slows_from_c is not None and slows_from_c >= KEPT_FROM_C:
        slows_from_c = None
    why: str = rule or NOT_THE_PROCESSORS
    if rule is None and (part := other_part(zone.name)):
        why += f" ({part})"
    if zone.disabled:
        # All the more reason to watch it.
        source += "; the zone is disabled, the kernel does nothing about it"
    return Sensor(
        zone.name,
        zone.path,
        rule is not None,
        why,
        limit_c,
        source,
        told.critical_c,
        slows_from_c,
    )


def _limit(
    told: TripLimits, board: BoardProfile, least: tuple[float, str] | None
) -> tuple[float, str]:
    """What is kept to, and where that is from."""
    if told.limit_c is not None:
        return before_end(told.limit_c, told.critical_c), told.source
    if told.hint_c is not None:
        return before_end(told.hint_c, told.critical_c), LimitSource.HINT
    limit_c, source = board.throttle_c, f"{LimitSource.UNKNOWN}; assumed for: {board.name}"
    if least is not None:
        limit_c, source = least[0], f"{LimitSource.LEAST}: {least[1]}"
    if told.most_c < limit_c:
        return told.most_c, f"{LimitSource.UNKNOWN}; {told.most_why}"
    return limit_c, source
