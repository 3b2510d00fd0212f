"""Settings of sleep and waking. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Marker in the state folder of a process that has ended to sleep: the unit file then has Avahi
#: announce the box.
ASLEEP_NAME: Final = "asleep"


@dataclass(frozen=True, slots=True)
class AwakeHours:
    """Hours of the day, by the box's own clock, in which it does not fall asleep.

    Attributes:
        begin_min: First minute, counted from midnight, 0 to 1439.
        end_min: First minute after; less than ``begin_min`` if they pass midnight.
    """

    begin_min: int
    end_min: int


@dataclass(frozen=True, slots=True)
class PowerSettings:
    """Idle times after which the box sleeps, level by level, since its last use.

    Attributes:
        unload_after_s: The model is unloaded, seconds; 0 is never.
        stop_after_s: The process ends, if systemd holds its sockets, seconds; 0 is never.
        suspend_after_s: The board is suspended, if that was tested on it, seconds; 0 is never.
        awake_hours: Hours without any of these; None is no hours.
    """

    unload_after_s: float = 900.0
    stop_after_s: float = 0.0
    suspend_after_s: float = 0.0
    awake_hours: AwakeHours | None = None


@dataclass(frozen=True, slots=True)
class WakeTarget:
    """Another machine that this box may wake.

    Attributes:
        name: Its name for phones.
        mac: Its wired address, as ``aa:bb:cc:dd:ee:ff``.
        secure_on: Its SecureOn password in the same form, or None.
    """

    name: str
    mac: str
    secure_on: str | None = None


@dataclass(frozen=True, slots=True)
class WakeSettings:
    """How the box is woken, and which machines it wakes.

    Attributes:
        udp_port: UDP port on which it listens for magic packets for itself; 0 is off.
        targets: Machines that phones may have it wake.
    """

    udp_port: int = 9
    targets: tuple[WakeTarget, ...] = ()
