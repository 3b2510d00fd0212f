"""Stands between the idle rule and what it puts to sleep. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from inglenook.daemon.governing import Governing
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.phones import Phones
from inglenook.models.prefetch import prefetch
from inglenook.power.idle import Activity, Level
from inglenook.power.settings import PowerSettings
from inglenook.power.sleeper import Sleeper, minute_of_day
from inglenook.serving.desk import Desk

log = logging.getLogger(__name__)

#: Left in the state folder by a process that ends because nobody needs it: the unit file then puts
#: up the announcement that speaks for it.
ASLEEP_NAME = "asleep"

#: The model file is asked for so often at most, seconds: whoever knocks is not known yet.
_PREFETCH_EVERY_S = 60.0

_SAID = {
    Level.UNLOADED: "asleep: nobody needs the model, which leaves memory",
    Level.STOPPED: "asleep: nobody needs the box, whose sockets are looked after",
    Level.SUSPENDED: "asleep: nobody needs the board",
}


class Resting:
    """Sleep's place in the box.

    Attributes:
        sleeper: Tells how deep it may sleep.
    """

    def __init__(
        self,
        settings: PowerSettings,
        *,
        desk: Desk,
        phones: Phones,
        door: PairingDoor,
        governing: Governing,
        on_level: Callable[[Level], None],
    ) -> None:
        """Nothing happens until `run`; ``on_level`` hears, synchronously, of every new level."""
        self._desk = desk
        self._phones = phones
        self._door = door
        self._governing = governing
        self._told = on_level
        self._knocked = asyncio.Event()
        self.sleeper = Sleeper(settings, self._activity, self._on_level)

    @property
    def asleep(self) -> bool:
        """Whether the model is away because nobody needs it."""
        return self.sleeper.level >= Level.UNLOADED

    def knocked(self) -> None:
        """Somebody is at the door, and has not said yet who it is."""
        if self.asleep:
            self._knocked.set()
        self.sleeper.changed()

    async def run(self, model: Path) -> None:
        """Follow what goes on until cancelled.

        Args:
            model: The file to have ready when somebody comes.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.sleeper.run(), name="sleeper")
            tasks.create_task(self._read_early(model), name="prefetch")

    async def _read_early(self, model: Path) -> None:
        """Bring the model's file into memory while a phone still says who it is."""
        while True:
            await self._knocked.wait()
            stop = threading.Event()
            try:
                free_bytes = self._governing.free_bytes
                await asyncio.to_thread(prefetch, model, free_bytes=free_bytes, stop=stop)
            finally:
                stop.set()
            await asyncio.sleep(_PREFETCH_EVERY_S)
            self._knocked.clear()

    def _activity(self) -> Activity:
        load = self._desk.load
        return Activity(
            answers=load.active + load.queued,
            preparations=self._desk.preparing,
            loading=self._governing.loading,
            sockets=len(self._phones),
            others=self._door.is_open,
            minute=minute_of_day(),
        )

    def _on_level(self, level: Level) -> None:
        if level in _SAID:
            log.info("%s", _SAID[level])
        self._governing.rest(level >= Level.UNLOADED)
        self._told(level)
