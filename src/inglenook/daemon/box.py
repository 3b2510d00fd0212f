"""Builds every room from one Config, opens and closes them in order. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from inglenook import __version__
from inglenook.auth.allowlist import Allowlist
from inglenook.auth.identity_files import RememberedNames
from inglenook.common.guarded import Guard
from inglenook.common.restarting import HEART_TRIES, keep_running
from inglenook.config import Config
from inglenook.daemon.dates import open_dating
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.daemon.loading import make_load, model_path, remove_blocks
from inglenook.daemon.reload import Reload
from inglenook.daemon.reloading import changed_keys
from inglenook.daemon.revocation import Revocation
from inglenook.daemon.servers import control_door, front_door
from inglenook.daemon.service import WITHOUT_SYSTEMD, Systemd, SystemdService
from inglenook.daemon.sleep_bridge import SleepBridge, WakeSources
from inglenook.daemon.start import Resources, find, forget_sleep, read_addresses
from inglenook.daemon.state_report import state_of, status_line
from inglenook.daemon.tls_port import SYSTEM_CLOCK, TlsPort, WallClock, open_tls_door
from inglenook.daemon.uncaught import BackgroundJob, lasting, once
from inglenook.discovery.advert import Advert, instance_name
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.state import AnnounceState
from inglenook.engine.interface import EngineState
from inglenook.engine.orders import LoadModel
from inglenook.engine.supervisor import Supervisor
from inglenook.gateway.context import Access, BoxIdentity, BoxInfo, ChatService, GatewayContext
from inglenook.gateway.http.app import PROTOCOLS, urls
from inglenook.gateway.http.metrics import Metrics
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.governor.monitor import SampleIntervals
from inglenook.models.workplace import in_thread
from inglenook.power.waker import WakeTargets
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.recorder import Recorder

log = logging.getLogger(__name__)

#: Phones hear of changes at most so often, seconds; docs/protocol.md promises it.
_STATE_EVERY_S = 1.0

_PACE = SampleIntervals()


class Daemon:
    """One box. Build it, `run` it once.

    Attributes:
        stop: Set it to end `run`.
        reload: Set it to have the settings read anew.
        ready: Set once the page answers; the model may still be loading.
    """

    def __init__(
        self,
        config: Config,
        on_change: Callable[[], None] = lambda: None,
        pace: SampleIntervals = _PACE,
        *,
        systemd: Systemd = WITHOUT_SYSTEMD,
        reread: Callable[[], Config] | None = None,
        clock: WallClock = SYSTEM_CLOCK,
    ) -> None:
        """Take the settings.

        Args:
            config: All of them.
            on_change: Hears, synchronously, of every new `engine_state`.
            pace: When the governor looks at the board.
            systemd: What it handed over, and hears of us.
            reread: Reads the settings anew, for `reload`; blocks, raises a ConfigError.
            clock: By which the certificate is good or not, and conversations begin.
        """
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.ready = asyncio.Event()
        self._config = config
        self._on_change = on_change
        self._allowlist = Allowlist(config.state_dir / "devices.json")
        self._news = asyncio.Event()
        self._kept_names = RememberedNames(config.state_dir)
        self._supervisor = Supervisor(
            self._prepare_model, self._engine_changed, model=model_path(config).stem
        )
        self._metrics = Metrics(self._snapshot)
        journal = Journal(config.state_dir / "journal.db") if config.serving.journal else None
        self._recorder = Recorder(journal, self._changed)
        self._desk = Dispatcher(
            config.serving,
            self._recorder,
            on_change=self._changed,
            on_over=self._metrics.answered,
            dating=open_dating(config, clock),
        )
        self._desk.engines.add(self._supervisor, max_active=config.engine.max_sequences)
        self._governing = GovernorBridge(config, self._supervisor, self._desk, self._news.set, pace)
        self._phones = PhoneConnections(self._knocked)
        self._revoking = Revocation(self._allowlist, self._phones, self._desk, config.state_dir)
        self.door = PairingDoor(self._allowlist, self._changed)
        self._resting = SleepBridge(
            config,
            desk=self._desk,
            phones=self._phones,
            door=self.door,
            governing=self._governing,
            on_change=self._news.set,
            on_return=self._board_is_back,
            stop=self.stop.set,
        )
        self._service = SystemdService(systemd.notifier, self._supervisor)
        self._inherited = systemd.inherited
        self._rereading = Reload(
            reread, self._service.reloading, self._take_up, self._renew_certificate
        )
        self._clock = clock
        self._wake_targets = WakeTargets(config.wake)
        self._telling = Guard("news of the engine")
        self._ending = Guard("ending")
        self._announcer: Announcer | None = None
        self._gateway: GatewayContext | None = None
        self._tls: TlsPort | None = None

    @property
    def engine_state(self) -> EngineState:
        """The engine's latest state."""
        return self._supervisor.state

    @property
    def has_devices(self) -> bool:
        """Whether any device is paired."""
        return bool(self._allowlist.devices)

    async def mdns_state(self, timeout_s: float) -> AnnounceState:
        """How the announcement stands after the first attempt, or after ``timeout_s``."""
        assert self._announcer is not None
        return await self._announcer.wait_first_state(timeout_s)

    async def urls(self) -> list[str]:
        """Where the page is."""
        assert self._gateway is not None
        return await urls(self._gateway.box)

    @property
    def identity(self) -> BoxIdentity:
        """Who the box is; known once `ready`."""
        assert self._gateway is not None
        return self._gateway.box.identity

    async def run(self, alongside: BackgroundJob | None = None) -> None:
        """Serve until `stop` is set.

        Args:
            alongside: Runs beside everything else once the page answers, and ends with it.

        Raises:
            StartupError: If it cannot start, or cannot go on; nothing is left behind then.
        """
        held = ExitStack()
        try:
            # To its end, even when cancelled: or it would bind what nobody closes.
            found = await in_thread(
                partial(
                    find, held, self._config, self._allowlist, self._kept_names, self._inherited
                )
            )
            with lasting():
                await self._open(found, alongside)
        finally:
            await in_thread(held.close)

    async def _open(self, found: Resources, alongside: BackgroundJob | None) -> None:
        """Open the doors and serve; whatever was opened is closed again, even if a door is not."""
        self._revoking.begin()
        log.info(
            "inglenook %s, box %s (%s)", __version__, found.identity.name, self._config.state_dir
        )
        advert = self._advert(found)
        self._announcer = Announcer(
            self._config.discovery,
            advert,
            run_id=found.identity.run_id,
            last_names=found.last_names,
            renamed=self._news.set,
        )
        self._gateway = self._make_gateway(found, self._announcer)
        self._tls = await asyncio.to_thread(open_tls_door, found, self._config, self._clock)
        ways = self._ways(found)
        async with AsyncExitStack() as doors:
            async with AsyncExitStack() as until_live:
                until_live.push_async_callback(self._recorder.close)
                await self._desk.restore(self._revoking.is_admitted)
                # Before the doors open: who comes in at once must find that this counts.
                self._resting.begin(ways)
                door = front_door(found, self._gateway, self._phones, self._tls)
                doorman = await doors.enter_async_context(door)
                await doors.enter_async_context(
                    control_door(found, self._gateway, self._purge, self._revoking.revoke)
                )
                await asyncio.to_thread(forget_sleep, self._config.state_dir)
                until_live.pop_all()  # from here on the desk closes its own journal
            self.ready.set()
            beside: dict[str, BackgroundJob] = {"doorman": doorman.run}
            if self._tls is not None:
                beside["certificate"] = self._tls.run
            await self._live(found, ways, beside, alongside)

    async def _live(
        self,
        found: Resources,
        ways: WakeSources,
        beside: Mapping[str, BackgroundJob],
        alongside: BackgroundJob | None,
    ) -> None:
        assert self._announcer is not None
        async with asyncio.TaskGroup() as tasks:
            desk = tasks.create_task(self._desk.run(), name="desk")
            engine = keep_running("engine", self._supervisor.run, tries=HEART_TRIES)
            jobs: dict[str, BackgroundJob] = {
                "governor": self._governing.run,
                "rest": partial(self._resting.run, ways),
                "systemd": self._service.run,
                "reload": partial(self._rereading.run, self.reload),
                "allowlist": self._revoking.run,
                "news": partial(self._spread_news, found),
                "mdns": self._announcer.run,
                **beside,
            }
            background = [
                tasks.create_task(engine, name="engine"),
                *(tasks.create_task(keep_running(*job), name=job[0]) for job in jobs.items()),
            ]
            if alongside is not None:
                welcome = once("welcome", alongside)
                background.append(tasks.create_task(welcome, name="welcome"))
            try:
                await self.stop.wait()
                log.info("stopping")
                with self._ending:
                    self._service.stopping()
            finally:
                self._end_desk(desk)
                for task in background:
                    task.cancel()
            await asyncio.wait([desk])
            # While the engine is still going, too: what is slow must not add up.
            with self._ending:
                self._phones.send_away()

    def _end_desk(self, desk: asyncio.Task[None]) -> None:
        with self._ending:
            # It ends by itself, once what was said is safe.
            self._desk.stop()
            return
        # What is unfinished is in the journal.
        desk.cancel()

    def _make_gateway(self, found: Resources, announcer: Announcer) -> GatewayContext:
        listen = self._config.listen
        return GatewayContext(
            BoxInfo(
                identity=found.identity,
                engine_state=lambda: self._supervisor.state,
                asleep=lambda: self._resting.asleep,
                snapshot=self._snapshot,
                addresses=partial(asyncio.to_thread, read_addresses),
                name=lambda: announcer.name,
                host_name=lambda: announcer.host_name,
                macs=found.macs if self._config.discovery.mac else (),
            ),
            Access(self._allowlist, self.door, listen.names, listen.origins),
            ChatService(self._desk, self._resting.sleeper.use, self._config.serving.resume_ttl_s),
            metrics=self._metrics.text,
            wake=self._wake,
        )

    def _advert(self, found: Resources) -> Advert:
        state = self._supervisor.state
        return Advert(
            name=found.identity.name,
            server_id=found.identity.server_id,
            version=__version__,
            port=found.identity.port or found.identity.tls_port,
            api=PROTOCOLS,
            tls=found.certificate is not None,
            fingerprint=found.certificate.spki16 if found.certificate else None,
            pairing_open=self.door.is_open,
            models=(state.model,) if state.model else (),
            mac=next(iter(found.macs), None),
            status=self._governing.mdns_status(),
        )

    async def _prepare_model(self) -> tuple[str, LoadModel]:
        """Check the model file and work out how to load it; see `Supervisor`."""
        name, load = await asyncio.to_thread(make_load, self._config)
        self._governing.loads(load)
        return name, load

    async def _purge(self) -> int:
        """Empty the prefix cache, of the model that runs and of all before it.

        Returns:
            How many bytes its files had.

        Raises:
            OSError: If a file cannot be removed.
        """
        freed_bytes = await asyncio.to_thread(remove_blocks, self._config.state_dir)
        # Last: the engine removes what it has written meanwhile, too.
        self._desk.purge()
        return freed_bytes

    def _engine_changed(self, state: EngineState) -> None:
        hearers: tuple[Callable[[], None], ...] = (
            partial(self._metrics.engine_changed, state),
            partial(self._desk.engine_changed, state),
            self._governing.engine_changed,
            self._service.engine_changed,
            self._changed,
            self._on_change,
        )
        for hear in hearers:
            with self._telling:
                hear()

    def _changed(self) -> None:
        """Something that phones may hear of, or that keeps the box awake."""
        self._resting.sleeper.changed()
        self._news.set()

    async def _wake(self, name: str) -> int:
        """Call another machine; see `GatewayContext.wake`."""
        return await self._wake_targets.wake(name)

    def _knocked(self) -> None:
        self._resting.knocked()

    def _board_is_back(self) -> None:
        if self._announcer is not None:
            self._announcer.announce_again()

    def _ways(self, found: Resources) -> WakeSources:
        listen = self._config.listen
        ports = {port for port in (listen.port, *listen.extra, listen.tls_port) if port}
        # All of them: at one that nobody holds, nobody would be heard.
        held = ports <= self._inherited.tcp.keys()
        return WakeSources(found.asleep, held, found.ear, found.own_macs, model_path(self._config))

    def _take_up(self, config: Config) -> None:
        at_once, later = changed_keys(self._config, config)
        self._resting.take_up(config.power)
        self._wake_targets = WakeTargets(config.wake)
        wake = replace(self._config.wake, targets=config.wake.targets)
        self._config = replace(self._config, power=config.power, wake=wake)
        log.info("settings read anew; changed: %s", ", ".join(at_once) or "nothing")
        if later:
            log.warning("changed, but only in force after a restart: %s", ", ".join(later))

    async def _renew_certificate(self) -> None:
        if self._tls is not None:
            await self._tls.renew()

    async def _spread_news(self, found: Resources) -> None:
        """Tell phones and the network of changes: the latest state, not every one."""
        assert self._announcer is not None
        told: object = None
        while True:
            self._news.clear()
            latest = (
                self._governing.changes,
                self._desk.load,
                self._supervisor.state,
                self._resting.stage,
                self._desk.journal_error,
            )
            if latest != told:
                told = latest
                self._phones.tell_state()
                self._service.tell(status_line(self._snapshot()))
            self._announcer.update(self._advert(found))
            await self._keep_names(self._announcer)
            await asyncio.sleep(_STATE_EVERY_S)
            await self._news.wait()

    async def _keep_names(self, announcer: Announcer) -> None:
        if not self._config.discovery.enabled:
            return
        owners, names = instance_name(self._config.name), announcer.names
        keep = partial(self._kept_names.remember, owners, names.instance, names.host)
        # To its end, even when cancelled: the folder is another process's once this one is through.
        await in_thread(keep)

    def _snapshot(self) -> dict[str, Any]:
        return state_of(
            self._governing.state(),
            self._desk.load,
            self._supervisor.state,
            self._resting.stage,
            self._desk.journal_error,
        )
