"""Stands between sleep and the box: what keeps it awake, what wakes it, what goes. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inglenook.common.errors import InglenookError
from inglenook.common.guarded import Guard
from inglenook.common.network_cards import parse_mac
from inglenook.common.restarting import keep_running
from inglenook.config import Config
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.models.prefetch import prefetch
from inglenook.power.idle import Abilities, Activity, SleepLevel
from inglenook.power.listener import WakeListener
from inglenook.power.logind import Logind
from inglenook.power.settings import ASLEEP_NAME, PowerSettings
from inglenook.power.sleep_controller import SleepController, minute_of_day
from inglenook.power.suspend_test import read_suspend_test
from inglenook.serving.dispatcher import Dispatcher

log = logging.getLogger(__name__)

#: The model file is asked for so often at most, seconds: whoever knocks is not known yet.
_PREFETCH_EVERY_S = 60.0

#: Turns of the loop that phones' tasks have to say one last thing.
_LAST_TURNS = 20

_SAID = {
    SleepLevel.UNLOADED: "asleep: nobody needs the model, which leaves memory",
    SleepLevel.STOPPED: "asleep: nobody needs the box; systemd starts it when somebody knocks",
    SleepLevel.SUSPENDED: "asleep: nobody needs the board, which is suspended",
}


@dataclass(frozen=True, slots=True)
class WakeSources:
    """How this box can be woken.

    Attributes:
        asleep: The process ended because nobody needed it, and has been started since.
        held: systemd holds its ports, and starts the process when somebody knocks.
        ear: Where magic packets come in; None where they cannot.
        macs: By which it may be called.
        model: The file to have ready when somebody comes.
    """

    asleep: bool
    held: bool
    ear: socket.socket | None
    macs: Collection[str]
    model: Path


class SleepBridge:
    """Sleep's place in the box.

    Attributes:
        sleeper: Tells how deep it may sleep.
    """

    def __init__(
        self,
        config: Config,
        *,
        desk: Dispatcher,
        phones: PhoneConnections,
        door: PairingDoor,
        governing: GovernorBridge,
        on_change: Callable[[], None],
        on_return: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        """Nothing happens until `begin`.

        Args:
            config: All the settings.
            desk: Whose answers keep the box awake.
            phones: Who is connected.
            door: Whose window must not be cut off.
            governing: Takes the model out of memory, and brings it back.
            on_change: Hears, synchronously, of every change of `stage`.
            on_return: Hears, synchronously, that the board was suspended and is awake again.
            stop: Ends the process.
        """
        self._config = config
        self._desk = desk
        self._phones = phones
        self._door = door
        self._governing = governing
        self._on_change = on_change
        self._telling = Guard("news of sleep")
        self._on_return = on_return
        self._stop = stop
        self._knocked = asyncio.Event()
        self._deep = asyncio.Event()
        self._leaving = False
        self._complaint = ""
        self._logind = Logind(self._leave, self._return)
        self.sleeper = SleepController(config.power, self._activity, self._on_level)

    @property
    def stage(self) -> str:
        """How deep the box sleeps, as docs/protocol.md calls it."""
        level = SleepLevel.SUSPENDED if self._leaving else self.sleeper.level
        if level is SleepLevel.UNLOADED and not self.asleep:
            level = SleepLevel.IDLE
        return level.name.lower()

    @property
    def asleep(self) -> bool:
        """Whether the model is away because nobody needs it."""
        return self._governing.asleep

    def knocked(self) -> None:
        """Somebody has come to the door, who has not said yet who it is; or has gone."""
        if self.asleep:
            self._knocked.set()
        self.sleeper.changed()

    def begin(self, ways: WakeSources) -> None:
        """Before anybody is let in: leave the model where it is if the box was asleep."""
        self.sleeper.abilities = Abilities(stop=ways.held)
        self.sleeper.begin(asleep=ways.asleep)

    def take_up(self, settings: PowerSettings) -> None:
        """The settings have changed."""
        self.sleeper.settings = settings
        self.sleeper.changed()
        self._warn_of_suspend()

    async def run(self, ways: WakeSources) -> None:
        """Sleep and wake until cancelled."""
        tested = await asyncio.to_thread(
            read_suspend_test,
            self._config.state_dir,
            platform.release(),
            self._config.governor.root,
        )
        self.sleeper.abilities = replace(self.sleeper.abilities, suspend=tested)
        self._warn_of_suspend()
        self.sleeper.changed()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._logind.run(), name="logind")
            tasks.create_task(self.sleeper.run(), name="sleeper")
            reading = keep_running("reading the model early", partial(self._read_early, ways.model))
            tasks.create_task(reading, name="prefetch")
            deepening = keep_running("going to deep sleep", self._go_deep)
            tasks.create_task(deepening, name="deep sleep")
            if ways.ear is not None:
                macs = {parse_mac(mac) for mac in ways.macs}
                listener = WakeListener(ways.ear, lambda: macs, self._called)
                hearing = keep_running("hearing magic packets", listener.run)
                tasks.create_task(hearing, name="magic packets")

    def _changed(self) -> None:
        with self._telling:
            self._on_change()

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

    async def _go_deep(self) -> None:
        """End the process or suspend the board, when it has come to that."""
        while True:
            await self._deep.wait()
            self._deep.clear()
            if self.sleeper.level is SleepLevel.STOPPED:
                await self._end()
            elif self.sleeper.level is SleepLevel.SUSPENDED:
                await self._suspend()

    async def _end(self) -> None:
        """End the process, unless somebody comes in at the last moment."""
        marker = self._config.state_dir / ASLEEP_NAME
        try:
            await asyncio.to_thread(marker.touch)
            if self.sleeper.level is SleepLevel.STOPPED:
                self._stop()
            else:
                await asyncio.to_thread(marker.unlink)
        except OSError as exc:
            text = f"the process stays for now, as {marker} cannot be written: {exc.strerror}"
            self._stay(SleepLevel.STOPPED, text)

    def _stay(self, refused: SleepLevel, why: str) -> None:
        """It could not go to that level; said once, however often it is tried."""
        log.log(logging.DEBUG if why == self._complaint else logging.WARNING, "%s", why)
        self._complaint = why
        self.sleeper.refused(refused)

    def _warn_of_suspend(self) -> None:
        if self.sleeper.settings.suspend_after_s and not self.sleeper.abilities.suspend:
            log.warning(
                "power.suspend_after has no effect before `inglenook doctor --suspend-test`"
                " has succeeded on this board with this kernel"
            )

    async def _suspend(self) -> None:
        try:
            await self._logind.suspend()
        except InglenookError as exc:
            self._stay(SleepLevel.SUSPENDED, f"the board stays awake for now: {exc}")
        else:
            self._complaint = ""

    async def _leave(self) -> None:
        """The board is about to be suspended, whoever wants that."""
        self._leaving = True
        self._governing.pause(True)
        self._changed()
        self._phones.tell_state()
        await self._desk.checkpoint()
        for _turn in range(_LAST_TURNS):
            await asyncio.sleep(0)

    def _return(self) -> None:
        """The board is awake again."""
        self._leaving = False
        self._governing.pause(False)
        self._governing.forget()
        self._knocked.set()
        self.sleeper.wake()
        self._changed()
        with self._telling:
            self._on_return()

    def _called(self) -> None:
        log.info("called by a magic packet")
        if self.asleep:
            self._knocked.set()
        self.sleeper.wake()

    def _activity(self) -> Activity:
        load = self._desk.load
        return Activity(
            answers=load.active + load.queued,
            preparations=self._desk.preparing,
            loading=self._governing.loading,
            sockets=self._phones.known,
            others=self._door.is_open,
            inhibited=self._logind.inhibited,
            minute=minute_of_day(),
        )

    def _on_level(self, level: SleepLevel) -> None:
        if level in _SAID:
            log.info("%s", _SAID[level])
        self._logind.busy = level is SleepLevel.BUSY
        self._governing.rest(level >= SleepLevel.UNLOADED)
        if level > SleepLevel.UNLOADED:
            self._deep.set()
        self._changed()
