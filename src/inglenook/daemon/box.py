"""Opens the box, runs it and closes it, in order. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from inglenook import __version__
from inglenook.config import Config
from inglenook.daemon.broadcast import StateBroadcast
from inglenook.daemon.jobs import run_jobs
from inglenook.daemon.loading import model_path
from inglenook.daemon.reload import Reload
from inglenook.daemon.rooms import Rooms
from inglenook.daemon.servers import control_door, front_door
from inglenook.daemon.service import WITHOUT_SYSTEMD, Systemd
from inglenook.daemon.start import Resources, WakeSources, find, forget_sleep, read_addresses
from inglenook.daemon.tls_port import SYSTEM_CLOCK, TlsPort, WallClock, open_tls_door
from inglenook.daemon.uncaught import BackgroundJob, lasting
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.state import AnnounceState
from inglenook.engine.interface import EngineState
from inglenook.gateway.context import Access, BoxIdentity, BoxInfo, ChatService, GatewayContext
from inglenook.gateway.http.app import urls
from inglenook.gateway.pairing import PairingDoor
from inglenook.governor.monitor import SampleIntervals
from inglenook.models.workplace import in_thread

log = logging.getLogger(__name__)

_PACE = SampleIntervals()


class Daemon:
    """One box. Build it, `run` it once.

    Attributes:
        stop: Set it to end `run`.
        reload: Set it to have the settings read anew.
        ready: Set once the page answers; the model may still be loading.
        rooms: Everything it is made of.
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
            on_change: Called, synchronously, with every new `engine_state`.
            pace: When the governor looks at the board.
            systemd: What it handed over, and where it is notified.
            reread: Reads the settings anew, for `reload`; blocks, raises a ConfigError.
            clock: By which the certificate is good or not, and conversations begin.
        """
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.ready = asyncio.Event()
        self.rooms = Rooms(
            config,
            systemd=systemd,
            clock=clock,
            pace=pace,
            on_engine=on_change,
            on_return=self._board_is_back,
            stop=self.stop.set,
        )
        self._inherited = systemd.inherited
        self._rereading = Reload(
            reread, self.rooms.service.reloading, self.rooms.take_up, self._renew_certificate
        )
        self._clock = clock
        self._announcer: Announcer | None = None
        self._gateway: GatewayContext | None = None
        self._tls: TlsPort | None = None

    @property
    def engine_state(self) -> EngineState:
        """The engine's latest state."""
        return self.rooms.supervisor.state

    @property
    def door(self) -> PairingDoor:
        """Pairs new devices."""
        return self.rooms.pairing

    @property
    def has_devices(self) -> bool:
        """Whether any device is paired."""
        return bool(self.rooms.allowlist.devices)

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
        """The box's name, id and ports; known once `ready`."""
        assert self._gateway is not None
        return self._gateway.box.identity

    async def run(self, alongside: BackgroundJob | None = None) -> None:
        """Serve until `stop` is set.

        Args:
            alongside: Runs beside everything else once the page answers, and ends with it.

        Raises:
            StartupError: If it cannot start, or cannot go on; nothing is left behind then.
        """
        rooms = self.rooms
        held = ExitStack()
        try:
            # To its end, even when cancelled: or it would bind what nobody closes.
            found = await in_thread(
                partial(find, held, rooms.config, rooms.allowlist, rooms.names, self._inherited)
            )
            with lasting():
                await self._open(found, alongside)
        finally:
            await in_thread(held.close)

    async def _open(self, found: Resources, alongside: BackgroundJob | None) -> None:
        """Open the servers and run; whatever was opened is closed again, even if a start fails."""
        rooms, config = self.rooms, self.rooms.config
        rooms.revocation.begin()
        log.info("inglenook %s, box %s (%s)", __version__, found.identity.name, config.state_dir)
        broadcast = StateBroadcast(rooms, found)
        announcer = self._announcer = Announcer(
            config.discovery,
            broadcast.advert(),
            run_id=found.identity.run_id,
            last_names=found.last_names,
            renamed=rooms.news.set,
        )
        gateway = self._gateway = self._make_gateway(found, announcer)
        tls = self._tls = await asyncio.to_thread(open_tls_door, found, config, self._clock)
        sources = self._wake_sources(found)
        async with AsyncExitStack() as servers:
            async with AsyncExitStack() as until_live:
                until_live.push_async_callback(rooms.recorder.close)
                await rooms.dispatcher.restore(rooms.revocation.is_admitted)
                # Before the servers open: a request that comes in at once must count.
                rooms.sleep.begin(sources)
                server = front_door(found, gateway, rooms.phones, tls)
                reaper = await servers.enter_async_context(server)
                control = control_door(found, gateway, rooms.purge, rooms.revocation.revoke)
                await servers.enter_async_context(control)
                await asyncio.to_thread(forget_sleep, config.state_dir)
                until_live.pop_all()  # from here on the dispatcher closes its own journal
            self.ready.set()
            jobs: dict[str, BackgroundJob] = {
                "governor": rooms.governor.run,
                "rest": partial(rooms.sleep.run, sources),
                "systemd": rooms.service.run,
                "reload": partial(self._rereading.run, self.reload),
                "allowlist": rooms.revocation.run,
                "news": partial(broadcast.run, announcer),
                "mdns": announcer.run,
                "doorman": reaper.run,
            }
            if tls is not None:
                jobs["certificate"] = tls.run
            await run_jobs(rooms, self.stop, jobs, alongside)

    def _make_gateway(self, found: Resources, announcer: Announcer) -> GatewayContext:
        rooms, config = self.rooms, self.rooms.config
        return GatewayContext(
            BoxInfo(
                identity=found.identity,
                engine_state=lambda: rooms.supervisor.state,
                asleep=lambda: rooms.sleep.asleep,
                snapshot=rooms.snapshot,
                addresses=partial(asyncio.to_thread, read_addresses),
                name=lambda: announcer.name,
                host_name=lambda: announcer.host_name,
                macs=found.macs if config.discovery.mac else (),
            ),
            Access(rooms.allowlist, rooms.pairing, config.listen.names, config.listen.origins),
            ChatService(rooms.dispatcher, rooms.sleep.sleeper.use, config.serving.resume_ttl_s),
            metrics=rooms.metrics.text,
            wake=rooms.wake,
        )

    def _wake_sources(self, found: Resources) -> WakeSources:
        config = self.rooms.config
        listen = config.listen
        ports = {port for port in (listen.port, *listen.extra, listen.tls_port) if port}
        # All of them: a connection to a port that systemd does not hold starts nothing.
        held = ports <= self._inherited.tcp.keys()
        return WakeSources(
            found.asleep, held, found.wake_socket, found.own_macs, model_path(config)
        )

    def _board_is_back(self) -> None:
        if self._announcer is not None:
            self._announcer.announce_again()

    async def _renew_certificate(self) -> None:
        if self._tls is not None:
            await self._tls.renew()
