"""A start that fails leaves nothing behind, however far it came; nor does a stop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from inglenook.auth.identity_files import RememberedNames
from inglenook.common.errors import StartupError
from inglenook.common.lockfile import locked
from inglenook.config import Config, load_config
from inglenook.daemon.box import Daemon
from inglenook.daemon.service import Systemd
from inglenook.daemon.statefolder import holder_of
from inglenook.daemon.tls_port import SYSTEM_CLOCK, WallClock
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.settings import DiscoverySettings
from inglenook.power.settings import ASLEEP_NAME
from inglenook.systemd import Inherited, Notifier
from tests.daemon.settime import Time, shown
from tests.parts.box import free_port

SOON_S = 60.0


@dataclass
class Start:
    """A start that is to fail.

    Attributes:
        state_dir: Of the daemon.
        ports: Plain, another plain one, and TLS.
        inherited: What systemd hands over.
        held: What else there is until the end of the test.
    """

    state_dir: Path
    ports: tuple[int, int, int]
    held: ExitStack
    inherited: Inherited = field(default_factory=Inherited)

    @property
    def config(self) -> Config:
        """The daemon's settings."""
        port, extra, tls_port = self.ports
        path = self.state_dir.parent / "config.yaml"
        path.write_text(
            f"state_dir: {self.state_dir}\n"
            f"listen: {{host: 127.0.0.1, port: {port}, extra: [{extra}], tls_port: {tls_port}}}\n"
            "discovery: {enabled: false}\n"
            "governor: {enabled: false}\n"
        )
        return load_config(path, {})

    def daemon(self, clock: WallClock = SYSTEM_CLOCK) -> Daemon:
        """One with these settings, that has not begun."""
        return Daemon(self.config, systemd=Systemd(Notifier({}), self.inherited), clock=clock)

    def take(self, port: int) -> None:
        """Have another program listen there."""
        self.held.enter_context(socket.create_server(("127.0.0.1", port)))


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """The folder is there, and the box in it asleep; there is no D-Bus."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with TemporaryDirectory(prefix="box") as folder, ExitStack() as held:
        state_dir = Path(folder) / "state"
        state_dir.mkdir()
        (state_dir / ASLEEP_NAME).touch()
        yield Start(state_dir, (free_port(), free_port(), free_port()), held)


def open_files() -> list[str]:
    """What this process has open, by name; a socket's has its number."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(f"{entry.name}: {entry.readlink()}")
        except FileNotFoundError:
            continue  # the folder itself, which was open while it was read
    return sorted(name for name in found if "/proc/" not in name)


def _lock(start: Start) -> None:
    start.held.enter_context(locked(start.state_dir / "lock", 0))


def _damage(name: str) -> Callable[[Start], None]:
    return lambda start: void((start.state_dir / name).write_bytes(b"damaged"))


def void(_result: object) -> None:
    """For a lambda that is to return nothing."""


def _deaf(start: Start) -> None:
    """What systemd handed over for the second port is connected, so nobody can listen there."""
    other = start.held.enter_context(socket.create_server(("127.0.0.1", 0)))
    connected = socket.create_connection(other.getsockname())
    start.inherited = Inherited({start.ports[1]: (connected,)})


FAILURES: dict[str, tuple[Callable[[Start], None], str]] = {
    "the state folder is in use": (_lock, "already running"),
    "no control socket": (
        lambda start: (start.state_dir / "control.sock").mkdir(),
        "cannot make a socket",
    ),
    "the list of devices is a folder": (
        lambda start: (start.state_dir / "devices.json").mkdir(),
        "devices.json cannot be read",
    ),
    "the box's id is damaged": (_damage("server_id"), "server_id does not hold"),
    "the port is taken": (lambda start: start.take(start.ports[0]), "is taken"),
    "the second port is taken": (lambda start: start.take(start.ports[1]), "is taken"),
    "the TLS port is taken": (lambda start: start.take(start.ports[2]), "is taken"),
    "no certificate": (_damage("tls.key"), "tls.key is not an EC P-256 private key"),
    "a door does not open": (_deaf, "Invalid argument"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_start_that_fails_leaves_nothing_behind(start: Start, failure: str) -> None:
    """No socket, no file of one, no lock, no journal's thread; and the box sleeps on."""
    bring_about, words = FAILURES[failure]
    before = await asyncio.to_thread(open_files)
    await asyncio.to_thread(bring_about, start)
    daemon = await asyncio.to_thread(start.daemon)

    async with asyncio.timeout(SOON_S):
        with pytest.raises((StartupError, OSError), match=words):
            await daemon.run()

    await asyncio.to_thread(start.held.close)
    assert await asyncio.to_thread(open_files) == before
    control = start.state_dir / "control.sock"
    assert not await asyncio.to_thread(control.is_socket)
    assert await asyncio.to_thread(holder_of, start.state_dir) is None
    assert await asyncio.to_thread((start.state_dir / ASLEEP_NAME).exists)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_box_that_ends_leaves_nothing_behind(start: Start, cancelled: bool) -> None:
    """Told to stop, or cancelled in the middle of its start."""
    before = await asyncio.to_thread(open_files)
    daemon = await asyncio.to_thread(start.daemon)

    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(daemon.run(), name="daemon")
        if cancelled:
            # Its thread has the lock, and goes on to bind sockets.
            while await asyncio.to_thread(holder_of, start.state_dir) is None:  # noqa: ASYNC110  # nobody would set an Event
                await asyncio.sleep(0)
            task.cancel()
        else:
            await daemon.ready.wait()
            holder = await asyncio.to_thread(holder_of, start.state_dir)
            assert holder is not None
            assert holder.pid == os.getpid()
            daemon.stop.set()

    assert task.cancelled() is cancelled
    assert await asyncio.to_thread((start.state_dir / ASLEEP_NAME).exists) is cancelled
    assert await asyncio.to_thread(open_files) == before
    assert not await asyncio.to_thread((start.state_dir / "control.sock").exists)
    assert await asyncio.to_thread(holder_of, start.state_dir) is None


async def test_a_running_box_takes_up_a_certificate_when_its_clock_is_set(start: Start) -> None:
    """The one of the start is as old as the clock was wrong; whoever connects sees another."""
    now = datetime.now(UTC)
    time = Time((now + timedelta(days=1000)).timestamp())
    daemon = await asyncio.to_thread(start.daemon, time.clock)

    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(), name="daemon")
        await daemon.ready.wait()
        before = await shown(start.ports[2])
        await time.pass_by()
        ahead = await shown(start.ports[2])
        time.set(now.timestamp())
        await time.pass_by()
        after = await shown(start.ports[2])
        daemon.stop.set()

    assert before.not_valid_before_utc < now
    assert ahead.not_valid_before_utc > now
    assert after.not_valid_before_utc < now < after.not_valid_after_utc
    assert before.public_key() == ahead.public_key() == after.public_key()


async def test_a_box_begins_with_the_names_of_its_last_life(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of two boxes of one name starts first; and it keeps them on."""
    # No network: nothing is said on that of the machine that runs the tests.
    monkeypatch.setitem(vars(Announcer)["__init__"].__kwdefaults__, "addresses", list)
    await asyncio.to_thread((start.state_dir / "server_id").write_text, "ab12cd34")
    names = ("Kitchen", "Kitchen-2", "kitchen-ab12-3")
    await asyncio.to_thread(RememberedNames(start.state_dir).remember, *names)
    config = await asyncio.to_thread(lambda: start.config)
    config = replace(config, name="Kitchen", discovery=DiscoverySettings())
    daemon = await asyncio.to_thread(lambda: Daemon(config))

    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(), name="daemon")
        await daemon.ready.wait()
        url = f"http://127.0.0.1:{start.ports[0]}/.well-known/inglenook"
        async with aiohttp.ClientSession() as client, client.get(url) as reply:
            name = (await reply.json())["name"]
        daemon.stop.set()

    assert name == "Kitchen-2"
    kept = RememberedNames(start.state_dir)
    assert await asyncio.to_thread(kept.instance, "Kitchen") == "Kitchen-2"
    assert await asyncio.to_thread(kept.host, "kitchen-ab12") == "kitchen-ab12-3"
