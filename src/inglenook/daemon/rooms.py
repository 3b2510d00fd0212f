"""Builds every room from one Config and connects them. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.identity_files import RememberedNames
from inglenook.common.guarded import Guard
from inglenook.config import Config
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.daemon.loading import make_load, model_path, remove_blocks
from inglenook.daemon.reload import changed_keys
from inglenook.daemon.revocation import Revocation
from inglenook.daemon.service import Systemd, SystemdService
from inglenook.daemon.sleep_bridge import SleepBridge
from inglenook.daemon.state_report import state_of
from inglenook.daemon.tls_port import WallClock
from inglenook.engine.interface import EngineState
from inglenook.engine.orders import LoadModel
from inglenook.engine.prefix_files import DATES_FILE
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.engine.supervisor import Supervisor
from inglenook.gateway.http.metrics import Metrics
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.governor.monitor import SampleIntervals
from inglenook.power.waker import WakeTargets
from inglenook.serving.date_store import DateStore
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.journal.recorder import Recorder

log = logging.getLogger(__name__)


class Rooms:
    """The rooms of one box, from its start to its end.

    Attributes:
        config: The settings in force.
        news: Set when phones or the network may have to be told of a change.
        wake_targets: The machines that phones may have woken.
    """

    def __init__(
        self,
        config: Config,
        *,
        systemd: Systemd,
        clock: WallClock,
        pace: SampleIntervals,
        on_engine: Callable[[], None],
        on_return: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        """Nothing runs yet, and nothing is read.

        Args:
            config: All the settings.
            systemd: What connects this process with it.
            clock: Dates conversations.
            pace: When the governor looks at the board.
            on_engine: Called, synchronously, with every new state of the engine.
            on_return: Called, synchronously, when the board was suspended and is awake again.
            stop: Ends the process.
        """
        self.config = config
        self.news = asyncio.Event()
        self._on_engine = on_engine
        self.allowlist = Allowlist(config.state_dir / "devices.json")
        self.names = RememberedNames(config.state_dir)
        self.supervisor = Supervisor(
            self._prepare_model, self._engine_changed, model=model_path(config).stem
        )
        self.metrics = Metrics(self.snapshot)
        journal = Journal(config.state_dir / "journal.db") if config.serving.journal else None
        self.recorder = Recorder(journal, self._changed)
        self.dispatcher = Dispatcher(
            config.serving,
            self.recorder,
            on_change=self._changed,
            on_over=self.metrics.answered,
            dating=_date_store(config, clock),
        )
        self._handle = self.dispatcher.engines.add(
            self.supervisor, max_active=config.engine.max_sequences
        )
        self.governor = GovernorBridge(
            config, self.supervisor, self.dispatcher, self.news.set, pace
        )
        self.phones = PhoneConnections(self._connections_changed)
        self.revocation = Revocation(self.allowlist, self.phones, self.dispatcher, config.state_dir)
        self.pairing = PairingDoor(self.allowlist, self._changed)
        self.sleep = SleepBridge(
            config,
            dispatcher=self.dispatcher,
            phones=self.phones,
            pairing=self.pairing,
            governor=self.governor,
            on_change=self.news.set,
            on_return=on_return,
            stop=stop,
        )
        self.service = SystemdService(systemd.notifier, self.supervisor)
        self.wake_targets = WakeTargets(config.wake)
        self._telling = Guard("news of the engine")

    def snapshot(self) -> dict[str, Any]:
        """The box's state, as docs/protocol.md has it."""
        return state_of(
            self.governor.state(),
            self.dispatcher.load,
            self.supervisor.state,
            self.sleep.stage,
            self.dispatcher.journal_error,
        )

    async def wake(self, name: str) -> int:
        """Call another machine; see `WakeTargets.wake`."""
        return await self.wake_targets.wake(name)

    async def purge(self) -> int:
        """Empty the prefix cache, of the model that runs and of all before it.

        Returns:
            How many bytes its files had.

        Raises:
            OSError: If a file cannot be removed.
        """
        freed_bytes = await asyncio.to_thread(remove_blocks, self.config.state_dir)
        # Last: the engine removes what it has written meanwhile, too.
        self.dispatcher.purge()
        return freed_bytes

    def take_up(self, config: Config) -> None:
        """Put those changed settings in force that need no restart."""
        at_once, later = changed_keys(self.config, config)
        self.sleep.take_up(config.power)
        self.wake_targets = WakeTargets(config.wake)
        wake = replace(self.config.wake, targets=config.wake.targets)
        self.config = replace(self.config, power=config.power, wake=wake)
        log.info("settings read anew; changed: %s", ", ".join(at_once) or "nothing")
        if later:
            log.warning("changed, but only in force after a restart: %s", ", ".join(later))

    async def _prepare_model(self) -> tuple[str, LoadModel]:
        """Check the model file and work out how to load it; see `Supervisor`."""
        others_bytes = self.dispatcher.engines.held_bytes(but=self._handle)
        name, load, memory = await asyncio.to_thread(make_load, self.config, others_bytes)
        self._handle.memory = memory
        self.governor.loads(load)
        return name, load

    def _engine_changed(self, state: EngineState) -> None:
        subscribers: tuple[Callable[[], None], ...] = (
            partial(self.metrics.engine_changed, state),
            partial(self.dispatcher.engine_changed, state),
            self.governor.engine_changed,
            self.service.engine_changed,
            self._changed,
            self._on_engine,
        )
        for notify in subscribers:
            with self._telling:
                notify()

    def _changed(self) -> None:
        """Something changed that phones are sent, or that keeps the box awake."""
        self.sleep.sleeper.changed()
        self.news.set()

    def _connections_changed(self) -> None:
        self.sleep.connections_changed()


def _date_store(config: Config, clock: WallClock) -> DateStore:
    """When conversations began, by this clock; on the disk only if the prefix cache is, too."""

    def moment() -> Moment:
        return replace(read_moment(), wall_s=clock.wall_s(), boottime_s=clock.boottime_s())

    if config.cache.disk_bytes == 0:
        return DateStore(None, moment)
    return DateStore(config.state_dir / PREFIX_FOLDER / DATES_FILE, moment)
