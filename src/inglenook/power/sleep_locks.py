"""The locks by which logind keeps the board awake, or waits before it sleeps. Kind: hands."""

from __future__ import annotations

import logging
import os

from inglenook.power.bus import LogindBus
from inglenook.power.login1 import LogindRefused

log = logging.getLogger(__name__)

#: What each lock blocks, its mode, and its reason in `systemd-inhibit --list`. Idle timers of other
#: programs respect `idle`; `sleep` also blocks suspending by hand, and needs polkit's permission.
_DELAY = ("sleep", "delay", "Keeping answers safe before the board sleeps")
_IDLE = ("idle", "block", "Somebody is being answered")
_SLEEP = ("sleep", "block", "Somebody is being answered")
_Kind = tuple[str, str, str]


class SleepLocks:
    """Locks that are held; a lock is an open file."""

    def __init__(self, who: str) -> None:
        """Hold none; ``who`` is the holder's name for other programs."""
        self._who = who
        self._locks: dict[_Kind, int] = {}
        self._refused: set[_Kind] = set()

    async def settle(self, bus: LogindBus, *, leaving: bool, busy: bool) -> None:
        """Take the locks that are due and release the others.

        Args:
            bus: A connection to logind.
            leaving: Whether the board is about to sleep.
            busy: Whether it must stay awake.

        Raises:
            NoLogind: If there is no answer.
        """
        due: tuple[_Kind, ...] = () if leaving else (_DELAY,)
        if busy and not leaving:
            due += (_IDLE, _SLEEP)
        self.release(keep=due)
        for kind in due:
            if kind not in self._locks:
                await self._take(bus, kind)

    def release(self, keep: tuple[_Kind, ...] = ()) -> None:
        """Release all locks except these."""
        for kind in self._locks.keys() - set(keep):
            os.close(self._locks.pop(kind))

    async def _take(self, bus: LogindBus, kind: _Kind) -> None:
        what, mode, why = kind
        try:
            self._locks[kind] = await bus.inhibit(what, self._who, why, mode)
        except LogindRefused as exc:
            if kind not in self._refused:
                log.info("logind grants no %s lock against %s: %s", mode, what, exc)
            self._refused.add(kind)
