"""Says for people what a board was found to tell about itself. Kind: rules."""

from __future__ import annotations

from inglenook.common.units import format_bytes
from inglenook.governor.readings import FirmwareFlags, MemoryReadings, Readings
from inglenook.governor.sensors.board import BoardProfile
from inglenook.governor.sensors.sensor import CoolingDevice, Sensor, SourceReport
from inglenook.governor.sensors.sensor_health import SensorHistory
from inglenook.governor.thermal.pausing import neighbour_pause_c, pause_c

_UNTOLD = "cannot be told"


def describe_sensor(sensor: Sensor, says: str, past: SensorHistory | None) -> SourceReport:
    """Describe one sensor.

    Args:
        sensor: The sensor.
        says: What it says now, be it a temperature or not.
        past: What is remembered of it; None if it never gave a reading that can be so.
    """
    if not sensor.counts:
        return SourceReport(sensor.name, says, False, sensor.why + _slows_from(sensor), sensor.path)
    if past is None:
        return SourceReport(
            sensor.name, says, False, "has given no reading that can be so", sensor.path
        )
    if past.fault is not None:
        return SourceReport(sensor.name, says, True, f"counts as hot: it {past.fault}", sensor.path)
    note = f"slows down at {sensor.passive_c:g} °C ({sensor.source})"
    if sensor.critical_c is not None:
        note += f", shuts down at {sensor.critical_c:g} °C"
    note += f", computes nothing from {pause_c(sensor.passive_c, sensor.critical_c):g} °C on"
    return SourceReport(
        sensor.name, says, True, f"{note}; {sensor.why}{_slows_from(sensor)}", sensor.path
    )


def _slows_from(sensor: Sensor) -> str:
    if sensor.slows_from_c is None:
        return ""
    text = (
        f"; the kernel slows the processor for it from {sensor.slows_from_c:g} °C on, which working"
        " less would not cure"
    )
    if not sensor.counts and sensor.critical_c is not None:
        text += f"; nothing is computed from {neighbour_pause_c(sensor.critical_c):g} °C on"
    return text


def describe_cooler(cooler: CoolingDevice, *, turned_on: bool) -> SourceReport:
    """Describe one cooling device."""
    note = "slows the processor down when on" if cooler.counts else "does not slow the processor"
    return SourceReport(cooler.name, "on" if turned_on else "off", cooler.counts, note, cooler.path)


def describe_box(board: BoardProfile, readings: Readings) -> list[SourceReport]:
    """Describe everything there is one of, whether it was found or not."""
    return [
        SourceReport(
            "board",
            board.name,
            True,
            f"slows down at {board.throttle_c:g} °C if no sensor tells",
        ),
        _describe_clock(readings),
        _describe_firmware(readings.firmware),
        *_describe_memory(readings.memory),
        _describe_engine(readings.engine_rss_bytes),
        _describe_battery(readings),
    ]


def _describe_clock(readings: Readings) -> SourceReport:
    if readings.freq_ratio is None:
        return SourceReport("clock", _UNTOLD, False, "no cpufreq, as in most virtual machines")
    now = "" if readings.freq_hz is None else f"{readings.freq_hz / 1e9:.1f} GHz; "
    return SourceReport(
        "clock", f"{now}may go up to {readings.freq_ratio * 100:.0f} % of its highest", True
    )


def _describe_firmware(flags: FirmwareFlags | None) -> SourceReport:
    if flags is None:
        return SourceReport("firmware", _UNTOLD, False, "only a Raspberry Pi's says anything")
    said = {
        "the supply's voltage is too low": flags.undervoltage,
        "the clock is capped": flags.freq_capped,
        "the clock is lowered": flags.throttled,
        "the first temperature limit is reached": flags.soft_limit,
    }
    return SourceReport(
        "firmware", ", ".join(text for text in said if said[text]) or "all is well", True
    )


def _describe_memory(memory: MemoryReadings) -> list[SourceReport]:
    return [
        _describe_part("memory", memory.available_bytes, memory.total_bytes, "available"),
        _describe_part("swap", memory.swap_free_bytes, memory.swap_total_bytes, "free"),
        _describe_limit(memory),
        _describe_pressure(memory),
        SourceReport(
            "kills for memory",
            _UNTOLD if memory.oom_kills is None else f"{memory.oom_kills}",
            memory.oom_kills is not None,
            "" if memory.oom_kills is not None else "no control group that counts them",
        ),
    ]


def _describe_part(what: str, part: int | None, whole: int | None, adjective: str) -> SourceReport:
    if part is None or whole is None:
        return SourceReport(what, _UNTOLD, False, "/proc/meminfo does not say")
    if whole == 0:
        return SourceReport(what, "none", False)
    return SourceReport(what, f"{format_bytes(part)} of {format_bytes(whole)} {adjective}", True)


def _describe_limit(memory: MemoryReadings) -> SourceReport:
    if memory.limit_bytes is None or memory.used_bytes is None:
        return SourceReport("memory limit", "none", False, "no control group on the way up has one")
    reads = f"{format_bytes(memory.used_bytes)} of {format_bytes(memory.limit_bytes)} used"
    return SourceReport("memory limit", reads, True, "of the control group that leaves the least")


def _describe_pressure(memory: MemoryReadings) -> SourceReport:
    if memory.psi_some_avg10 is None:
        note = "this kernel does not keep count; psi=1 on its command line may turn it on"
        return SourceReport("memory pressure", _UNTOLD, False, note)
    reads = f"some task waits {memory.psi_some_avg10:.1f} % of the time"
    if memory.psi_full_avg10 is not None:
        reads += f", all wait {memory.psi_full_avg10:.1f} %"
    return SourceReport("memory pressure", reads, True)


def _describe_engine(rss_bytes: int | None) -> SourceReport:
    if rss_bytes is None:
        return SourceReport("engine", "is not running", False)
    return SourceReport("engine", f"{format_bytes(rss_bytes)} resident", True)


def _describe_battery(readings: Readings) -> SourceReport:
    if readings.on_battery is None and readings.battery_percent is None:
        return SourceReport("battery", "none", False)
    charge = "" if readings.battery_percent is None else f"{readings.battery_percent:g} %"
    state = {True: "being emptied", False: "not being emptied", None: ""}[readings.on_battery]
    return SourceReport("battery", ", ".join(filter(None, (charge, state))), True)
