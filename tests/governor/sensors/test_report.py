"""What the operator is told about every source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.governor.readings import FirmwareFlags, MemoryReadings, Readings
from inglenook.governor.sensors.board import recognise
from inglenook.governor.sensors.report import describe_box, describe_cooler, describe_sensor
from inglenook.governor.sensors.sensor import CoolingDevice, CountingRule, Sensor, SourceReport
from inglenook.governor.sensors.sensor_health import SensorFault, SensorHistory

GIB = 2**30
SENSOR = Sensor(
    "cpu-thermal", "/sys/t", True, CountingRule.TIED, 85.0, "its passive trip point", 115.0
)
LOW = replace(SENSOR, passive_c=67.0, critical_c=107.0, slows_from_c=47.0)
SKIN = Sensor("skin", "/sys/s", False, "not the processor's", 85.0, "", 60.0, 42.0)
DISK = Sensor("nvme Composite", "/sys/n", False, "not the processor's", 85.0)
GOOD = SensorHistory(52.0, 1.0)


@pytest.mark.parametrize(
    ("sensor", "past", "counts", "note"),
    [
        (
            SENSOR,
            GOOD,
            True,
            "slows down at 85 °C (its passive trip point), shuts down at 115 °C, computes nothing"
            " from 110 °C on; counts as the processor's cooling is tied to it",
        ),
        (
            LOW,
            GOOD,
            True,
            "slows down at 67 °C (its passive trip point), shuts down at 107 °C, computes nothing"
            " from 102 °C on; counts as the processor's cooling is tied to it; the kernel slows the"
            " processor for it from 47 °C on, which working less would not cure",
        ),
        (
            SKIN,
            None,
            False,
            "not the processor's; the kernel slows the processor for it from 42 °C on, which"
            " working less would not cure; nothing is computed from 58 °C on",
        ),
        (DISK, None, False, "not the processor's"),
        (SENSOR, None, False, "has given no reading that can be so"),
        (
            SENSOR,
            SensorHistory(52.0, 1.0, SensorFault.STUCK),
            True,
            "counts as hot: it does not move, whatever the engine does",
        ),
    ],
)
def test_a_sensor_is_described(
    sensor: Sensor, past: SensorHistory | None, counts: bool, note: str
) -> None:
    """With where it slows the board down, or why it does not count."""
    assert describe_sensor(sensor, "52.0 °C", past) == SourceReport(
        sensor.name, "52.0 °C", counts, note, sensor.path
    )


def test_a_cooling_device_is_described() -> None:
    """With what it is to the processor."""
    cooler = describe_cooler(CoolingDevice("cpufreq-cpu0", "/sys/c", True), turned_on=True)
    fan = describe_cooler(CoolingDevice("pwm-fan", "/sys/f", False), turned_on=False)

    assert (cooler.reads, cooler.counts) == ("on", True)
    assert (fan.reads, fan.counts) == ("off", False)


def told(readings: Readings) -> dict[str, str]:
    """What each thing is told to read."""
    return {found.what: found.reads for found in describe_box(recognise("bcm2712"), readings)}


def test_a_box_that_tells_everything_is_described() -> None:
    """With units."""
    memory = MemoryReadings(8 * GIB, 6 * GIB, GIB, GIB // 2, 4 * GIB, GIB, 1.25, 0.5, 2)
    firmware = FirmwareFlags(undervoltage=True, throttled=True)
    readings = Readings(
        firmware=firmware,
        freq_ratio=0.75,
        freq_hz=1_800_000_000,
        memory=memory,
        engine_rss_bytes=GIB,
        on_battery=True,
        battery_percent=40.0,
    )

    assert told(readings) == {
        "board": "Raspberry Pi 5",
        "clock": "1.8 GHz; may go up to 75 % of its highest",
        "firmware": "the supply's voltage is too low, the clock is lowered",
        "memory": "6.0 GiB of 8.0 GiB available",
        "swap": "512.0 MiB of 1.0 GiB free",
        "memory limit": "1.0 GiB of 4.0 GiB used",
        "memory pressure": "some task waits 1.2 % of the time, all wait 0.5 %",
        "kills for memory": "2",
        "engine": "1.0 GiB resident",
        "battery": "40 %, being emptied",
    }


def test_a_box_that_tells_nothing_is_described() -> None:
    """The same things, none of which counts but the board."""
    found = describe_box(recognise(""), Readings())

    assert [thing.what for thing in found if thing.counts] == ["board"]
    assert told(Readings())["clock"] == "cannot be told"
    assert told(Readings())["battery"] == "none"


def test_all_is_well_is_said_too() -> None:
    """Of a Raspberry Pi; and no swap is no fault."""
    memory = MemoryReadings(swap_total_bytes=0, swap_free_bytes=0)
    reads = told(Readings(firmware=FirmwareFlags(), memory=memory))

    assert reads["firmware"] == "all is well"
    assert reads["swap"] == "none"


def test_a_kernel_that_does_not_count_full_pressure_is_described() -> None:
    """As one before 5.13, in a control group."""
    reads = told(Readings(memory=MemoryReadings(psi_some_avg10=1.25)))

    assert reads["memory pressure"] == "some task waits 1.2 % of the time"
