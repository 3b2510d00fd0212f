"""Connects sleep with the box: what keeps it awake, what wakes it, what it unloads. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from inglenook.common.errors import InglenookError
from inglenook.common.guarded import Guard
from inglenook.common.network_cards import parse_mac
from inglenook.common.restarting import keep_running
from inglenook.config import Config
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.daemon.model_prefetch import ModelPrefetch
from inglenook.daemon.start import WakeSources
from inglenook.daemon.uncaught import BackgroundJob
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.power.idle import Abilities, Activity, SleepLevel
from inglenook.power.listener import WakeListener
from inglenook.power.logind import Logind
from inglenook.power.settings import ASLEEP_NAME, PowerSettings
from inglenook.power.sleep_controller import SleepController, minute_of_day
from inglenook.power.suspend_test import read_suspend_test
from inglenook.serving.dispatcher import Dispatcher

log = logging.getLogger(__name__)

#: Turns of the loop that phones' tasks have to send one last frame.
_LAST_TURNS = 20

_LOGGED = {
    SleepLevel.UNLOADED: "asleep: nobody needs the model, which leaves memory",
    SleepLevel.STOPPED: "asleep: nobody needs the box; systemd starts it when somebody knocks",
    SleepLevel.SUSPENDED: "asleep: nobody needs the board, which is suspended",
}


class SleepBridge:
    """Connects the sleep controller with the rest of the box.

    Attributes:
        sleeper: Decides how deep it may sleep.
    """

    def __init__(
        self,
        config: Config,
        *,
        dispatcher: Dispatcher,
        phones: PhoneConnections,
        pairing: PairingDoor,
        governor: GovernorBridge,
        on_change: Callable[[], None],
        on_return: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        """Nothing happens until `begin`.

        Args:
            config: All the settings.
            dispatcher: Its answers keep the box awake.
            phones: The connections, which do so, too.
            pairing: An open window must not be cut off.
            governor: Unloads the model and loads it again.
            on_change: Called, synchronously, at every change of `stage`.
            on_return: Called, synchronously, when the board was suspended and is awake again.
            stop: Ends the process.
        """
        self._config = config
        self._dispatcher = dispatcher
        self._phones = phones
        self._pairing = pairing
        self._governor = governor
        self._on_change = on_change
        self._telling = Guard("news of sleep")
        self._on_return = on_return
        self._stop = stop
        self._prefetch = ModelPrefetch(lambda: governor.free_bytes)
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
        """Whether the model is unloaded because it is not needed."""
        return self._governor.asleep

    def connections_changed(self) -> None:
        """A connection was opened, has authenticated or was closed."""
        if self.asleep:
            self._prefetch.begin()
        self.sleeper.changed()

    def begin(self, sources: WakeSources) -> None:
        """Leave the model unloaded if the box was asleep; before the first connection."""
        self.sleeper.abilities = Abilities(stop=sources.held)
        self.sleeper.begin(asleep=sources.asleep)

    def take_up(self, settings: PowerSettings) -> None:
        """The settings have changed."""
        self.sleeper.settings = settings
        self.sleeper.changed()
        self._warn_of_suspend()

    async def run(self, sources: WakeSources) -> None:
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
            prefetch = partial(self._prefetch.run, sources.model)
            jobs: dict[str, BackgroundJob] = {
                "reading the model early": prefetch,
                "going to deep sleep": self._go_deep,
            }
            if sources.wake_socket is not None:
                macs = {parse_mac(mac) for mac in sources.macs}
                listener = WakeListener(sources.wake_socket, lambda: macs, self._called)
                jobs["hearing magic packets"] = listener.run
            for name, job in jobs.items():
                tasks.create_task(keep_running(name, job), name=name)

    def _changed(self) -> None:
        with self._telling:
            self._on_change()

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
        """End the process, unless a request comes in at the last moment."""
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
        """The box could not go to that level; logged once, however often it is tried."""
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
        """The board is about to be suspended, by this program or another."""
        self._leaving = True
        self._governor.pause(True)
        self._changed()
        self._phones.tell_state()
        await self._dispatcher.checkpoint()
        for _turn in range(_LAST_TURNS):
            await asyncio.sleep(0)

    def _return(self) -> None:
        """The board is awake again."""
        self._leaving = False
        self._governor.pause(False)
        self._governor.forget()
        self._prefetch.begin()
        self.sleeper.wake()
        self._changed()
        with self._telling:
            self._on_return()

    def _called(self) -> None:
        log.info("called by a magic packet")
        if self.asleep:
            self._prefetch.begin()
        self.sleeper.wake()

    def _activity(self) -> Activity:
        load = self._dispatcher.load
        return Activity(
            answers=load.active + load.queued,
            preparations=self._dispatcher.preparing,
            loading=self._governor.loading,
            sockets=self._phones.known,
            others=self._pairing.is_open,
            inhibited=self._logind.inhibited,
            minute=minute_of_day(),
        )

    def _on_level(self, level: SleepLevel) -> None:
        if level in _LOGGED:
            log.info("%s", _LOGGED[level])
        self._logind.busy = level is SleepLevel.BUSY
        self._governor.rest(level >= SleepLevel.UNLOADED)
        if level > SleepLevel.UNLOADED:
            self._deep.set()
        self._changed()
