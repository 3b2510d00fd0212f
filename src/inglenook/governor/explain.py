"""What the governor decided, for people. Kind: rules."""

from __future__ import annotations

from inglenook.common.units import format_bytes
from inglenook.governor.limits import Decision, Level, LimitReason
from inglenook.governor.memory.ladder import Ladder, Pressure, Rung, reserve_bytes
from inglenook.governor.readings import Neighbour, Readings
from inglenook.governor.thermal.pausing import neighbour_again_c, pausing_neighbour
from inglenook.governor.thermal.thermal import COOL_AGAIN_C, Heat

_FORBIDDEN = {
    Rung.OPEN: "",
    Rung.NO_NEW: "no new questions are taken",
    Rung.HALF_CACHE: "no new questions are taken and half of the cache is given up",
    Rung.NO_CACHE: "no new questions are taken and the cache is given up",
    Rung.HALF_ACTIVE: "no new questions are taken and half of the answers wait",
    Rung.ONE_ACTIVE: "all answers but one wait",
    Rung.UNLOADED: "the model is unloaded and all answers wait",
}


def sentence(decision: Decision, heat: Heat, ladder: Ladder, readings: Readings) -> str:
    """Say what is so, what is done about it, and what would change it."""
    if decision.reason is LimitReason.MEMORY:
        return _memory(ladder)
    if decision.reason is LimitReason.POWER:
        return _power(decision, readings)
    if heat.paused and (neighbour := pausing_neighbour(readings)) is not None:
        return _neighbour(neighbour)
    if heat.faulty:
        return (
            f"The sensor {heat.faulty[0]} has stopped working, so the box works as if it were hot:"
            f" {_how_much(decision)}, until it can be read again"
        )
    said = _unknown(heat, readings) if heat.zone is None else _heat(decision, heat)
    return said + _slowed_for(heat, readings)


def _heat(decision: Decision, heat: Heat) -> str:
    assert heat.zone is not None
    zone = heat.zone
    apart_c = zone.passive_c - zone.temp_c
    where = f"{zone.temp_c:.0f} °C, {abs(apart_c):.0f} °C {'below' if apart_c >= 0 else 'above'}"
    # Where the kernel does so earlier, that is another temperature.
    where += " where the board slows itself down" if zone.slows_from_c is None else " its limit"
    if heat.throttled:
        where += ", which it is doing" if zone.slows_from_c is None else ", and slowed down"
    if heat.paused:
        return f"{where}: paused until it is below {zone.passive_c:.0f} °C; see to its cooling"
    if decision.reason is LimitReason.NONE:
        return where
    again_c = zone.passive_c - COOL_AGAIN_C
    more = f"when it is below {again_c:.0f} °C" if zone.temp_c >= again_c else "if it stays there"
    return f"{where}: {_how_much(decision)}; more {more}"


def _neighbour(neighbour: Neighbour) -> str:
    critical_c = neighbour.critical_c or neighbour.temp_c
    return (
        f"{neighbour.name} is at {neighbour.temp_c:.0f} °C, and at {critical_c:.0f} °C the board"
        f" switches itself off: paused until it is below {neighbour_again_c(critical_c):.0f} °C;"
        " see to its cooling"
    )


def _slowed_for(heat: Heat, readings: Readings) -> str:
    """What else the kernel slows the processor for; empty if it does not, or for its heat."""
    if heat.held_by is not None and heat.held_by.slows_from_c is not None:
        held_by = heat.held_by
        return (
            f"; the kernel slows the processor for {held_by.name} ({held_by.temp_c:.0f} °C, from"
            f" {held_by.slows_from_c:g} °C on), which working less would not cure"
        )
    if readings.throttled_by_kernel and not heat.throttled and heat.zone is not None:
        return "; the kernel slows the processor, and not for its heat"
    return ""


def _how_much(decision: Decision) -> str:
    threads = "1 thread" if decision.threads == 1 else f"{decision.threads} threads"
    active = "1 answer" if decision.max_active == 1 else f"{decision.max_active} answers"
    clock = "" if decision.clock == 1 else f" at {100 * decision.clock:.0f} % of the clock"
    time = f"computing {100 * decision.duty:.0f} % of the time"
    return f"{time} with {threads}{clock}, {active} at once"


def _unknown(heat: Heat, readings: Readings) -> str:
    if heat.level is Level.HOT:
        return (
            "No temperature sensor of the processor, but the clock is being held down: working with"
            " half the power"
        )
    if readings.freq_ratio is not None and readings.freq_ratio < 1:
        return (
            "No temperature sensor of the processor; the clock is held at"
            f" {100 * readings.freq_ratio:.0f} % of its highest, by heat or by a setting"
        )
    return "No temperature sensor of the processor, so heat limits nothing"


def _power(decision: Decision, readings: Readings) -> str:
    if decision.max_active == 1 and not _on_low_battery(readings):
        return (
            "The power supply gives too little voltage (below 4.63 V): one answer at a time, until"
            " it has been good for a minute; use a stronger supply or a shorter cable"
        )
    return (
        f"On battery with {readings.battery_percent or 0:.0f} % left: half of the answers wait,"
        " until it is charged"
    )


def _on_low_battery(readings: Readings) -> bool:
    flags = readings.firmware
    return readings.on_battery is True and not (flags is not None and flags.undervoltage)


def _memory(ladder: Ladder) -> str:
    memory = ladder.memory
    left = memory.left_bytes
    wanted = reserve_bytes(memory) * 3 // 2
    if left is not None and left < wanted:
        why = f"{format_bytes(left)} of memory are left"
    elif ladder.pressure > Pressure.QUIET:
        why = f"Programs wait for memory {memory.psi_some_avg10 or 0.0:.0f} % of the time"
    else:
        why = "Memory was short a moment ago"
    return (
        f"{why}: {_FORBIDDEN[ladder.rung]}, until {format_bytes(wanted)} have been free for a while"
    )
