"""The real daemon in the test's own loop, quick in all it waits for, and everything to do with it.

Its engine is the process of tests/fakes/worker.py; logind and the board are fakes, too. The rest is
what runs on a board: sockets, files, threads, mDNS on loopback, systemd's notifications.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.common.network_cards import parse_mac
from inglenook.config import Config
from inglenook.daemon import Daemon
from inglenook.daemon.service import Systemd
from inglenook.daemon.tls_port import WallClock
from inglenook.discovery.addresses import InterfaceAddress
from inglenook.engine.interface import EnginePhase
from inglenook.engine.settings import ModelSettings
from inglenook.engine.supervisor import Supervisor
from inglenook.gateway.settings import ListenSettings
from inglenook.governor.monitor import SampleIntervals
from inglenook.governor.settings import GovernorSettings
from inglenook.power.idle import Abilities
from inglenook.power.login1 import LogindSignal
from inglenook.power.logind import Logind
from inglenook.power.magic import magic_packet
from inglenook.power.settings import PowerSettings, WakeSettings, WakeTarget
from inglenook.power.waker import WakeInterface
from inglenook.systemd import Inherited, Notifier
from tests.fakes.logind import FakeLogind
from tests.parts.board import rk3588_mainline
from tests.parts.box import free_port
from tests.parts.gguf_files import small_model
from tests.parts.phone import Answer, Phone, connected, knocking
from tests.parts.throwing import Thrower, by_test, instrument, instrument_fake

#: For what takes well below a second on an idle machine.
SOON_S = 20.0

_WORKER = Path(__file__).parents[1] / "fakes" / "worker.py"

#: What is waited for in the daemon, in modules' constants, and how long it takes here, seconds.
_QUICK: dict[str, object] = {
    "auth.allowlist.WATCH_EVERY_S": 0.02,
    "auth.allowlist.TOUCH_EVERY_S": 0.0,
    "daemon.broadcast._STATE_EVERY_S": 0.02,
    "daemon.tls_port._LOOK_S": 0.2,
    "daemon.tls_port._LOOK_MAX_S": 0.2,
    "daemon.model_prefetch._PREFETCH_EVERY_S": 0.02,
    "discovery.announcer.RETRY_S": 0.1,
    "discovery.link.GOODBYE_EVERY_S": 0.01,
    "discovery.link.PROBE_S": 0.02,
    "discovery.announcer_events.POLL_S": 0.3,
    "engine.backoff._FIRST_S": 0.02,
    "engine.child._EXIT_S": 0.3,
    "engine.backoff._LONGEST_S": 0.1,
    "gateway.guard._LOOK_AGAIN_S": 0.0,
    "gateway.listen._SWEEP_S": 0.02,
    "gateway.pairing._WRONG_DELAY_S": 0.01,
    "power.idle.KEEP_AWAKE_S": 0.1,
    "power.listener._SAME_CALL_S": 0.0,
    "power.logind._FIRST_S": 0.02,
    "power.sleep_controller._TELL_AGAIN_S": 0.02,
    "power.waker._AGAIN_S": 0.0,
    "power.waker._BETWEEN_S": 0.0,
    "common.restarting._FIRST_S": 0.02,
    "common.restarting._LONGEST_S": 0.05,
    "common.restarting._WINDOW_S": 1.0,
    "serving.response_lifecycle._TIDY_S": 0.02,
    "serving.journal.access.RETRY_EVERY_S": 0.05,
    "serving.journal.recorder.SYNC_EVERY_S": 0.02,
    "serving.journal.recorder._NOTE_EVERY_S": 0.02,
    "serving.journal.access._RETRY_ASKED_S": 0.0,
}

_MAC = "aa:bb:cc:dd:ee:ff"


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Shorten every wait."""
    for name, value in _QUICK.items():
        patch.setattr(f"inglenook.{name}", value)
    patch.setattr("zeroconf._core._PROBE_RANDOM_DELAY_INTERVAL", (1, 2))
    patch.setattr("zeroconf._core._CHECK_TIME", 10)
    patch.setattr("zeroconf._core._REGISTER_TIME", 5)
    patch.setattr("zeroconf._core._UNREGISTER_TIME", 5)
    patch.setitem(_defaults(Logind), "look_every_s", 0.02)


def _defaults(of: type) -> dict[str, Any]:
    """The defaults of a class's parameters, to be set."""
    defaults: dict[str, Any] | None = of.__init__.__kwdefaults__  # type: ignore[misc]
    assert defaults is not None
    return defaults


class InnerBox:
    """One daemon. `running` runs it; every other method is something that happens to it.

    Attributes:
        logind: The one there is.
        settings: What the daemon reads at a reload.
    """

    def __init__(self, folder: Path, logind: FakeLogind) -> None:
        self.folder = folder
        self.logind = logind
        self.board = rk3588_mainline(folder / "board")
        self.board.write("sys/devices/platform/soc/soc:firmware/get_throttled", "0")
        self.board.write("sys/class/power_supply/usb/online", "1")
        (folder / "small.gguf").write_bytes(small_model())
        (folder / "script").touch()
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(folder / "notify"))
        self._ear.setblocking(False)
        self.settings = Config(
            "Kitchen",
            folder / "state",
            listen=ListenSettings("127.0.0.1", free_port(), free_port()),
            model=ModelSettings(folder / "small.gguf"),
            governor=GovernorSettings(root=self.board.root),
            power=PowerSettings(unload_after_s=0),
            wake=WakeSettings(free_port(), (WakeTarget("Loft", _MAC),)),
        )
        environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "100000"}
        self.daemon = Daemon(
            self.settings,
            pace=SampleIntervals(0.02, map(float, itertools.count()).__next__),
            systemd=Systemd(Notifier(environ), Inherited()),
            reread=lambda: self.settings,
            on_change=lambda: None,
            # As the daemon's own, but made just now, so that it throws.
            clock=WallClock(),
        )
        self.token = ""
        self.running_task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Of the plain port."""
        return f"http://127.0.0.1:{self.settings.listen.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it until the end of the block, and check that it then ends well."""
        async with asyncio.TaskGroup() as tasks:
            self.running_task = tasks.create_task(self.daemon.run(self._welcome), name="daemon")
            try:
                async with asyncio.timeout(SOON_S):
                    await self._until(self.daemon.ready.is_set)
                self.token = await self._add_device("Tester")
                yield
            finally:
                self.daemon.stop.set()
                async with asyncio.timeout(SOON_S):
                    await asyncio.wait([self.running_task])
                self.logind.close()
                self._ear.close()

    async def check(self) -> None:
        """See that phones are answered and told, answers kept, and the board looked at."""
        assert self.running_task is not None
        assert not self.running_task.done(), "the daemon has ended"
        async with asyncio.timeout(SOON_S):
            while (await self.get("/healthz"))[0] != 200:  # noqa: ASYNC110  # it is asked anew
                await asyncio.sleep(0.01)
        async with connected(self.url, self.token) as phone:
            answer = await phone.ask("one two three")
            assert answer.done is not None, answer.error
            assert (answer.text, answer.done["status"]) == ("one two three ", "completed")
            # A change that is gone again before it is sent is not told.
            while not phone.states:
                waiting = await self._begin(phone)
                await asyncio.sleep(0.03)
                await self._stop(phone, waiting)
        await self._until(lambda: self.daemon.rooms.recorder.keeps)
        before = self.daemon.rooms.governor._readings
        await self._until(lambda: self.daemon.rooms.governor._readings is not before)

    # What happens to a box.

    async def wait(self) -> None:
        """Nothing; the box looks after itself."""
        await asyncio.sleep(0.05)

    async def ask(self) -> None:
        """A phone comes, asks, has something read ahead, reads again, stops an answer, goes."""
        async with connected(self.url, self.token) as phone:
            await phone.send({"type": "ping", "t": 1})
            await phone.until("pong")
            asked = await phone.ask("one two three")
            await phone.resume(asked)
            await self._stop(phone, await self._begin(phone))

    async def refuse(self) -> None:
        """The engine refuses a question, the desk what is none, and the door who is not paired."""
        async with connected(self.url, self.token) as phone:
            await phone.ask("refuse")
            await phone.ask({"messages": "none"})
        async with knocking(self.url) as stranger:
            await stranger.authenticate("unknown")
            await stranger.wait_closed()
        await self._babble()

    async def type(self) -> None:
        """Somebody types."""
        async with connected(self.url, self.token) as phone:
            first, second = await phone.prepare("o"), await phone.prepare("one")
            await phone.finish(first, second)
            await phone.finish(await phone.prepare("refuse"))
            await phone.prepare("wait")

    async def look(self) -> None:
        """Pages, states, metrics and a single answer over HTTP."""
        for path in ("/", "/healthz", "/.well-known/inglenook", "/v1/state", "/metrics"):
            await self.get(path)
        await self.get("/healthz", host="elsewhere.example")
        await self.post("/v1/inference", {"question": "one two three"})

    async def call_other(self) -> None:
        """A phone has another machine woken."""
        await self.post("/v1/wake", {"name": "Loft"})

    async def pair(self) -> None:
        """A pairing window opens and a phone comes in; another closes after five wrong tries."""
        window = await self.control("POST", "/pair/open")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.control("GET", "/pair/wait"), name="owner")
            await self.post("/pair", {"code": window["code"], "device_name": "Phone"})
        await self.control("POST", "/pair/open")
        for _ in range(5):
            await self.post("/pair", {"code": "WRONG", "device_name": "Thief"})

    async def own(self) -> None:
        """The owner looks at the state, lets a device in and out again, and empties the cache."""
        await self.control("GET", "/state")
        added = await self.control("POST", "/devices/add?name=Owned&scopes=chat&thinking=auto")
        device = f"device={added['device_id']}"
        await self.control("POST", f"/devices/rename?{device}&name=Of {added['device_id']}")
        await self.control("POST", f"/devices/thinking?{device}&thinking=off")
        await self.control("POST", f"/devices/revoke?{device}")
        await self.control("POST", "/cache/purge")

    async def revoke(self) -> None:
        """A device is added, comes in and is shut out again."""
        token = await self._add_device("Short")
        async with connected(self.url, token) as phone:
            await phone.ask("one")
            with by_test():
                await asyncio.to_thread(lambda: self._allowlist().revoke("Short"))
            async with asyncio.timeout(SOON_S):
                assert await phone.wait_closed() == 4401
        await asyncio.sleep(0.1)

    async def reload(self) -> None:
        """The settings are read anew."""
        await self._settle(self.settings.power)
        await asyncio.sleep(0.05)

    async def sleep(self) -> None:
        """Nobody needs the box, so the model leaves; a magic packet has it back."""
        await self._settle(PowerSettings(unload_after_s=0.02))
        try:
            await self._until(lambda: self.daemon.engine_state.phase is EnginePhase.UNLOADED)
        finally:
            await self._settle(PowerSettings(unload_after_s=3600.0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
                to = ("127.0.0.1", self.settings.wake.udp_port)
                for _ in range(3):
                    caller.sendto(magic_packet(parse_mac(_MAC)), to)
                    await asyncio.sleep(0.01)
            await self._until(lambda: self.daemon.engine_state.phase is EnginePhase.READY)
            await self._settle(PowerSettings(unload_after_s=0))

    async def suspend(self) -> None:
        """The board is suspended by somebody, and wakes up."""
        async with connected(self.url, self.token) as phone:
            await phone.ask("one")
            for news in (LogindSignal.LOCKS, LogindSignal.LEAVING, LogindSignal.BACK):
                self.logind.say(news)
                await asyncio.sleep(0.05)

    async def deepen(self) -> None:
        """The board is suspended because nobody needs it; at first logind refuses."""
        sleeper = self.daemon.rooms.sleep.sleeper
        sleeper.abilities = Abilities(suspend=True)
        try:
            for self.logind.refuses in (True, False):
                told = self.logind.suspended
                await self._settle(PowerSettings(unload_after_s=0, suspend_after_s=0.02))
                await self._until(partial(self._suspended_since, told))
                await self._settle(PowerSettings(unload_after_s=0))
        finally:
            sleeper.abilities = Abilities()

    async def die(self) -> None:
        """The engine dies under an answer."""
        async with connected(self.url, self.token) as phone:
            waiting = await self._begin(phone)
            await phone.prepare("wait")
            await phone.send({"type": "ping", "t": 1})
            await phone.until("pong")
            pid = self.daemon.rooms.supervisor.pid
            assert pid is not None
            os.kill(pid, signal.SIGABRT)
            await self._until(lambda: self.daemon.engine_state.phase is not EnginePhase.READY)
            await self._until(lambda: self.daemon.engine_state.phase is EnginePhase.READY)
            await self._stop(phone, waiting)

    async def heat(self) -> None:
        """The board gets hot, so that the clock is capped, and cools down."""
        async with connected(self.url, self.token) as phone:
            waiting = await self._begin(phone)
            self.board.heat(79.5)
            await asyncio.sleep(0.15)
            self.board.heat(40)
            await self._stop(phone, waiting)

    async def restart(self) -> None:
        """The model is unloaded, and loaded again."""
        with by_test():
            self.daemon.rooms.supervisor.unload()
        await self._until(lambda: self.daemon.engine_state.phase is not EnginePhase.READY)
        await self._until(lambda: self.daemon.engine_state.phase is EnginePhase.READY)

    async def unload(self) -> None:
        """The model is unloaded under an answer, as when memory is short, and comes back."""
        async with connected(self.url, self.token) as phone:
            waiting = await self._begin(phone)
            await phone.prepare("wait")
            await phone.send({"type": "ping", "t": 1})
            await phone.until("pong")
            with by_test():
                self.daemon.rooms.supervisor.unload()
            await self._until(lambda: self.daemon.engine_state.phase is not EnginePhase.READY)
            await self._stop(phone, waiting)
            await self._until(lambda: self.daemon.engine_state.phase is EnginePhase.READY)

    # How.

    async def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
        """Ask for a page as the paired device."""
        return await self._request("GET", path, None, host)

    async def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Send something as the paired device."""
        return await self._request("POST", path, body)

    async def control(self, method: str, path: str) -> Any:
        """Ask the control socket, as the command line does."""
        connector = aiohttp.UnixConnector(str(self.settings.state_dir / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://box{path}") as reply,
        ):
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def _request(
        self, method: str, path: str, body: object, host: str = "127.0.0.1"
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}", "Host": host}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.url + path, json=body) as reply,
        ):
            return reply.status, await reply.read()

    async def _babble(self) -> None:
        """Say what is no HTTP, and read what the box says to that."""
        port = self.settings.listen.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"good morning\r\n\r\n")
            await reader.read()
        finally:
            writer.close()

    async def _welcome(self) -> None:
        await self.daemon.mdns_state(SOON_S)
        await self.daemon.urls()

    async def _begin(self, phone: Phone) -> Answer:
        """Have an answer begun that never comes to its end."""
        waiting = await phone.generate("wait")
        while waiting.created is None:
            assert not waiting.over, waiting.done or waiting.error
            await phone.step()
        return waiting

    async def _stop(self, phone: Phone, waiting: Answer) -> None:
        await phone.cancel(waiting)
        await phone.finish(waiting)

    async def _settle(self, power: PowerSettings) -> None:
        self.settings = replace(self.settings, power=power)
        self.daemon.reload.set()
        await self._until(lambda: not self.daemon.reload.is_set())

    def _allowlist(self) -> Allowlist:
        """As the command line has it: the same file, another object."""
        allowlist = Allowlist(self.settings.state_dir / "devices.json")
        allowlist.load()
        return allowlist

    async def _add_device(self, name: str) -> str:
        scopes = (Scope.CHAT, Scope.WAKE, Scope.METRICS)
        with by_test():
            return await asyncio.to_thread(lambda: self._allowlist().add(name, scopes)[1])

    def _suspended_since(self, told: int) -> bool:
        return self.logind.suspended > told

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SOON_S):
            while not condition():  # noqa: ASYNC110  # nobody would set an Event
                await asyncio.sleep(0.005)


#: Everything that may happen to a box, the quickest first.
STEPS = (
    "wait",
    "look",
    "own",
    "ask",
    "refuse",
    "type",
    "call_other",
    "reload",
    "pair",
    "revoke",
    "restart",
    "heat",
    "suspend",
    "sleep",
    "deepen",
    "unload",
    "die",
)


def make_box(folder: Path, patch: pytest.MonkeyPatch, thrower: Thrower) -> InnerBox:
    """Make a box in a world of fakes, of which everything asks ``thrower`` first."""
    make_quick(patch)
    worker = (sys.executable, str(_WORKER), str(folder / "script"))
    patch.setitem(_defaults(Supervisor), "worker", worker)
    logind = FakeLogind()
    own = InterfaceAddress("lo", 1, "127.0.0.1", 8, is_ipv6=False)
    link = WakeInterface("lo", 1, (("127.0.0.1", "127.255.255.255"),), has_ipv6=False)
    instead: dict[str, Callable[..., Any]] = {
        "discovery.interfaces:list_addresses": lambda: [own],
        "discovery.interfaces:own_macs": lambda root=None: (_MAC,),
        "power.bus:open_logind": logind.open,
        "power.waker:list_links": lambda: [link],
    }
    instrument(thrower, patch, instead)
    instrument_fake(thrower, patch, FakeLogind, "power.bus:LogindBus")
    return InnerBox(folder, logind)
