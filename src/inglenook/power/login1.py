"""What logind says, and what it says no with. Kind: words.

Source: org.freedesktop.login1(5) and systemd.io/INHIBITOR_LOCKS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inglenook.common.errors import InglenookError


class LogindSignal(StrEnum):
    """What logind tells by itself.

    Attributes:
        LEAVING: The board is about to be suspended.
        BACK: It has woken up, or could not be suspended.
        LOCKS: Somebody took or released a block lock.
        GONE: logind has ended, or another has taken its place.
    """

    LEAVING = "leaving"
    BACK = "back"
    LOCKS = "locks"
    GONE = "gone"


class NoLogind(InglenookError):
    """There is no bus, or no logind, or it does not answer."""


class LogindRefused(InglenookError):
    """logind, or polkit, which it asks, says no."""


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """A lock that somebody holds.

    Attributes:
        what: Against what, such as ``sleep`` and ``idle``.
        who: Which program, as it calls itself.
        why: As it says.
        mode: ``block``, or ``delay``, which only asks for a moment.
        pid: The program's process.
    """

    what: frozenset[str]
    who: str
    why: str
    mode: str
    pid: int

    @property
    def keeps_awake(self) -> bool:
        """Whether the board should not be suspended meanwhile."""
        return self.mode.startswith("block") and not self.what.isdisjoint({"sleep", "idle"})
