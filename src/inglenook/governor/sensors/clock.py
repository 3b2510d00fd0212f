"""Reads the processor's clock, and what a Raspberry Pi's firmware does to it. Kind: hands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inglenook.governor.readings import FirmwareFlags
from inglenook.governor.sensors.files import number_of, text_of

# Bits of get_throttled, as Raspberry Pi documents vcgencmd. The same 16 places up mean "has been
# so since it was switched on", which is nothing to act on.
_UNDERVOLTAGE, _FREQ_CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8

# The driver's own folder is there on every kernel; the two others if a container hides it.
_THROTTLED_FILES = (
    "sys/bus/platform/drivers/raspberrypi-firmware/*/get_throttled",
    "sys/devices/platform/soc*/*firmware/get_throttled",
    "sys/devices/platform/*firmware/get_throttled",
)


@dataclass(frozen=True, slots=True)
class CpufreqPolicy:
    """Cores whose clock goes up and down together.

    Attributes:
        folder: Its files.
        most_khz: The highest clock they have.
    """

    folder: str
    most_khz: int


def find_policies(root: Path) -> list[CpufreqPolicy]:
    """List the groups of cores that cpufreq knows."""
    policies = []
    for folder in sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*")):
        most_khz = number_of(folder / "cpuinfo_max_freq")
        if most_khz:
            policies.append(CpufreqPolicy(str(folder), most_khz))
    return policies


def read_freq_ratio(policies: list[CpufreqPolicy]) -> float | None:
    """Read the allowed share of the highest clock, of the cores that are held down most."""
    ratios = [
        min(1.0, allowed_khz / policy.most_khz)
        for policy in policies
        if (allowed_khz := number_of(f"{policy.folder}/scaling_max_freq"))
    ]
    return min(ratios, default=None)


def read_freq_hz(policies: list[CpufreqPolicy]) -> int | None:
    """Read the clock of the fastest cores."""
    clocks = [number_of(f"{policy.folder}/scaling_cur_freq") or 0 for policy in policies]
    return max(clocks, default=0) * 1000 or None


def find_firmware(root: Path) -> str | None:
    """Find the file that holds a Raspberry Pi's flags; its voltage alarm if there is no better."""
    for pattern in _THROTTLED_FILES:
        for file in sorted(root.glob(pattern)):
            return str(file)
    for file in sorted(root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm")):
        if text_of(file.parent / "name") == "rpi_volt":
            return str(file)
    return None


def read_firmware(path: str) -> FirmwareFlags | None:
    """Read the flags from the file found; None if it says nothing."""
    try:
        # Hexadecimal, with 0x before it or not; the alarm is 0 or 1, which is its first bit.
        bits = int(text_of(path), 16)
    except ValueError:
        return None
    return FirmwareFlags(
        undervoltage=bool(bits & _UNDERVOLTAGE),
        freq_capped=bool(bits & _FREQ_CAPPED),
        throttled=bool(bits & _THROTTLED),
        soft_limit=bool(bits & _SOFT_LIMIT),
    )
