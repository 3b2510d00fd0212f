"""What systemd is told, on a socket as systemd makes it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from inglenook.daemon.service import SystemdService
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import LoadModel
from inglenook.engine.supervisor import Supervisor
from inglenook.systemd import Notifier
from tests.engine.watched import Engine, fake

SOON_S = 20.0

MORE_TIME = "EXTEND_TIMEOUT_USEC=60000000"


class Ear:
    """The other end of ``NOTIFY_SOCKET``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.bind(str(path))

    async def next(self) -> str:
        """The next message."""
        async with asyncio.timeout(SOON_S):
            return (await asyncio.get_running_loop().sock_recv(self._sock, 4096)).decode()

    def rest(self) -> list[str]:
        """What else has come."""
        heard = []
        with suppress(BlockingIOError):
            while True:
                heard.append(self._sock.recv(4096).decode())
        return heard

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path / "notify")
    yield ear
    ear.close()


def notifier(ear: Ear, **environ: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": str(ear.path), **environ})


async def next_but_more_time(ear: Ear) -> str:
    """The next message; on a busy machine the engine may need more time than was asked for."""
    while (said := await ear.next()) == MORE_TIME:
        pass
    return said


@asynccontextmanager
async def serving(service: SystemdService) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(service.run(), name="systemd")
        try:
            yield
        finally:
            run.cancel()


@pytest.mark.parametrize(
    ("behaviours", "missing", "phase"),
    [
        ([], None, EnginePhase.READY),
        (["exits 3"], None, EnginePhase.RESTARTING),
        ([], "none", EnginePhase.MISSING),
    ],
)
async def test_it_is_ready_when_it_is_known_how_loading_went(
    ear: Ear, behaviours: list[str], missing: str | None, phase: EnginePhase
) -> None:
    """Well or not: the page answers, and says what is wrong. Said once, whatever comes then."""
    engine = Engine(fake(ear.path.parent / "script", behaviours))
    engine.missing = missing
    service = SystemdService(notifier(ear), engine.supervisor)
    engine.on_change = lambda _state: service.engine_changed()
    async with serving(service):
        assert await ear.next() == MORE_TIME
        assert ear.rest() == []
        async with engine.running():
            await engine.until(phase)
            assert await next_but_more_time(ear) == "READY=1"
            if missing is None:
                await engine.until(EnginePhase.READY)
            assert ear.rest() == []


async def test_a_reload_is_told_of_from_its_begin_to_its_end(ear: Ear) -> None:
    """Also if it came to nothing."""
    engine = Engine(fake(ear.path.parent / "script", []))
    service = SystemdService(notifier(ear), engine.supervisor)
    engine.on_change = lambda _state: service.engine_changed()
    async with engine.running(), serving(service):
        while await ear.next() != "READY=1":
            pass
        with suppress(ValueError), service.reloading():
            assert (await ear.next()).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert ear.rest() == []
            raise ValueError
        assert ear.rest() == ["READY=1"]


async def test_a_reload_amid_the_start_does_not_end_it(ear: Ear) -> None:
    """The box is ready when its model is."""
    engine = Engine(fake(ear.path.parent / "script", []))
    service = SystemdService(notifier(ear), engine.supervisor)
    async with serving(service):
        assert await ear.next() == MORE_TIME
        with service.reloading():
            pass
        assert ear.rest() == []


async def test_a_line_is_told_once(ear: Ear) -> None:
    """Until there is another; all of it is one line."""
    service = SystemdService(notifier(ear), Hanging())
    for line in ("smol ready", "smol ready", "smol\nloading", "smol ready"):
        service.tell(line)

    assert ear.rest() == ["STATUS=smol ready", "STATUS=smol loading", "STATUS=smol ready"]


async def test_an_engine_that_nobody_ends_ends_the_signs_of_life(ear: Ear) -> None:
    """They come back with it."""
    supervisor = Hanging()
    service = SystemdService(notifier(ear, WATCHDOG_USEC="40000"), supervisor)
    service.engine_changed()
    async with serving(service):
        while await ear.next() != "WATCHDOG=1":
            pass
        supervisor.hangs = True
        await asyncio.sleep(0)
        ear.rest()
        await asyncio.sleep(0.05)
        assert "WATCHDOG=1" not in ear.rest()
        supervisor.hangs = False
        while await ear.next() != "WATCHDOG=1":
            pass


@pytest.mark.parametrize("watchdog", [{"WATCHDOG_USEC": "40000"}, {}])
async def test_a_start_that_hangs_asks_for_no_more_time(
    ear: Ear, monkeypatch: pytest.MonkeyPatch, watchdog: dict[str, str]
) -> None:
    """That would hold off the watchdog as well; and is asked for again once it goes on."""
    monkeypatch.setattr("inglenook.daemon.service._EXTEND_EVERY_S", 0.01)
    supervisor = Hanging()
    supervisor.hangs = True
    async with serving(SystemdService(notifier(ear, **watchdog), supervisor)):
        await supervisor.asked(10)
        assert ear.rest() == []
        supervisor.hangs = False
        while await ear.next() != MORE_TIME:
            pass
        supervisor.hangs = True
        await supervisor.asked(2)
        ear.rest()
        await supervisor.asked(10)
        assert ear.rest() == []


async def test_nobody_who_listens_for_it_is_told_nothing(ear: Ear) -> None:
    """Another process's watchdog is none of ours."""
    service = SystemdService(notifier(ear, WATCHDOG_USEC="1000", WATCHDOG_PID="1"), Hanging())
    async with serving(service):
        await asyncio.sleep(0.02)

    assert ear.rest() == [MORE_TIME]


async def test_an_end_is_told(ear: Ear) -> None:
    """So that nobody waits for signs of life."""
    SystemdService(notifier(ear), Hanging()).stopping()

    assert ear.rest() == ["STOPPING=1"]


class Hanging(Supervisor):
    """A supervisor without an engine, which may be one that hangs.

    Attributes:
        hangs: Whether it is.
    """

    def __init__(self) -> None:
        super().__init__(_no_model, lambda _state: None)
        self.hangs = False
        self._asked = 0

    def overdue(self, now: float) -> bool:
        self._asked += 1
        return self.hangs

    async def asked(self, times: int) -> None:
        """Wait until that was asked so many times more."""
        enough = self._asked + times
        async with asyncio.timeout(SOON_S):
            while self._asked < enough:  # noqa: ASYNC110  # nobody would set an Event
                await asyncio.sleep(0.001)


async def _no_model() -> tuple[str, LoadModel]:
    raise AssertionError("it is never run")
