"""Signals, locks and errors of logind. Kind: words.

Source: org.freedesktop.login1(5) and systemd.io/INHIBITOR_LOCKS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inglenook.common.errors import InglenookError


class LogindSignal(StrEnum):
    """Signal of logind.

    Attributes:
        LEAVING: The board is about to be suspended.
        BACK: It has woken up, or could not be suspended.
        LOCKS: A process took or released a block lock.
        GONE: logind has ended, or been replaced.
    """

    LEAVING = "leaving"
    BACK = "back"
    LOCKS = "locks"
    GONE = "gone"


class NoLogind(InglenookError):
    """The bus or logind is missing, or does not answer."""


class LogindRefused(InglenookError):
    """logind, or polkit on its behalf, refused a call."""


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """A lock of a process.

    Attributes:
        what: What it blocks, such as ``sleep`` and ``idle``.
        who: The program, in its own words.
        why: Its reason.
        mode: ``block``, or ``delay`` for a few seconds.
        pid: The process.
    """

    what: frozenset[str]
    who: str
    why: str
    mode: str
    pid: int

    @property
    def keeps_awake(self) -> bool:
        """Whether it blocks suspending the board."""
        return self.mode.startswith("block") and not self.what.isdisjoint({"sleep", "idle"})
