"""What the operator may set about sleep and about waking. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Left in the state folder by a process that ends because nobody needs it: the unit file then puts
#: up the announcement that speaks for it.
ASLEEP_NAME: Final = "asleep"


@dataclass(frozen=True, slots=True)
class AwakeHours:
    """Hours of the day, by the box's own clock, in which it does not go to sleep by itself.

    Attributes:
        begin_min: First minute, counted from midnight, 0 to 1439.
        end_min: First minute after; less than ``begin_min`` if they go past midnight.
    """

    begin_min: int
    end_min: int


@dataclass(frozen=True, slots=True)
class PowerSettings:
    """When the box goes to sleep, level by level; every time is since it was last used.

    Attributes:
        unload_after_s: The model leaves memory, seconds; 0 is never.
        stop_after_s: The process ends, if systemd holds its sockets, seconds; 0 is never.
        suspend_after_s: The board is suspended, if that was tested on it, seconds; 0 is never.
        awake_hours: When it does none of these; None is at no time.
    """

    unload_after_s: float = 900.0
    stop_after_s: float = 0.0
    suspend_after_s: float = 0.0
    awake_hours: AwakeHours | None = None


@dataclass(frozen=True, slots=True)
class WakeTarget:
    """Another machine that this box may wake.

    Attributes:
        name: What it is asked for by.
        mac: Its wired address, as ``aa:bb:cc:dd:ee:ff``.
        secure_on: Its SecureOn password in the same form; None without.
    """

    name: str
    mac: str
    secure_on: str | None = None


@dataclass(frozen=True, slots=True)
class WakeSettings:
    """How the box is woken, and whom it wakes.

    Attributes:
        udp_port: UDP port on which it listens for magic packets for itself; 0 is off.
        targets: Whom phones may have it wake.
    """

    udp_port: int = 9
    targets: tuple[WakeTarget, ...] = ()
