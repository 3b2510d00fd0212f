"""A box without doors: desk, engine process, governor and sleep, wired as the daemon wires them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.chat.messages import Message
from inglenook.chat.request import ChatRequest
from inglenook.config import Config
from inglenook.daemon.governor_bridge import GovernorBridge
from inglenook.daemon.sleep_bridge import SleepBridge
from inglenook.daemon.start import WakeSources
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.gateway.pairing import PairingDoor
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.governor.monitor import SampleIntervals
from inglenook.governor.settings import GovernorSettings
from inglenook.power.idle import SleepLevel
from inglenook.power.settings import PowerSettings
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.response import Response
from tests.engine.watched import Engine, fake
from tests.parts.board import Board, virtual_machine

#: For things that take well below a second on an idle machine.
SOON_S = 20.0

NOBODY = WakeSources(
    asleep=False, held=False, wake_socket=None, macs=(), model=Path("/models/model.gguf")
)


async def _for_a_moment(_delay_s: float) -> None:
    await asyncio.sleep(0.005)


class Bed:
    """What sleeps in it.

    Attributes:
        board: On which it stands; memory is all it has.
        levels: Every level it came to.
        ended: The process was to end.
        on_level: Hears, synchronously, of each.
    """

    def __init__(
        self, folder: Path, power: PowerSettings, behaviours: Sequence[str], *, governed: bool
    ) -> None:
        self.folder = folder
        self.board: Board = virtual_machine(folder / "board")
        self.levels: list[SleepLevel] = []
        self.ended = asyncio.Event()
        self.on_level: Callable[[SleepLevel], None] = lambda _level: None
        governor = GovernorSettings(enabled=governed, root=self.board.root)
        config = Config("Kitchen", folder / "state", governor=governor, power=power)
        config.state_dir.mkdir()
        self.engine = Engine(fake(folder / "script", behaviours))
        self.engine.on_change = self._engine_changed
        self.desk = Dispatcher(
            config.serving,
            Recorder(None),
            on_change=self._changed,
        )
        self.desk.engines.add(self.engine.supervisor, max_active=2)
        # For the law a second passes from look to look; a box at rest has minutes to wait for it.
        pace = SampleIntervals(clock=map(float, itertools.count()).__next__, sleep=_for_a_moment)
        self.governing = GovernorBridge(
            config, self.engine.supervisor, self.desk, lambda: None, pace
        )
        self.phones = PhoneConnections(self._changed)
        self.door = PairingDoor(Allowlist(config.state_dir / "devices.json"), self._changed)
        self.resting = SleepBridge(
            config,
            dispatcher=self.desk,
            phones=self.phones,
            pairing=self.door,
            governor=self.governing,
            on_change=self._note,
            on_return=lambda: None,
            stop=self.ended.set,
        )

    @property
    def phase(self) -> EnginePhase:
        """The engine's."""
        return self.engine.supervisor.state.phase

    def ask(self, text: str = "one two three") -> Response:
        """Have something answered; the fake engine says it again."""
        return self.desk.submit("ada", ChatRequest((Message("user", text),)))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what nobody tells."""
        async with asyncio.timeout(SOON_S):
            while not condition():  # noqa: ASYNC110  # nobody would set an Event
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def slept_in(self, ways: WakeSources = NOBODY) -> AsyncIterator[None]:
        """Run it all until the end of the block."""
        self.resting.begin(ways)
        async with self.running(ways):
            yield

    @asynccontextmanager
    async def running(self, ways: WakeSources = NOBODY) -> AsyncIterator[None]:
        """The same once sleep has begun."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.desk.run(), name="desk")
            background = [
                tasks.create_task(self.governing.run(), name="governor"),
                tasks.create_task(self.resting.run(ways), name="rest"),
            ]
            try:
                async with self.engine.running():
                    yield
            finally:
                self.desk.stop()
                for task in background:
                    task.cancel()

    def _engine_changed(self, state: EngineState) -> None:
        self.desk.engine_changed(state)
        self.governing.engine_changed()
        self._changed()

    def _changed(self) -> None:
        self.resting.sleeper.changed()

    def _note(self) -> None:
        level = self.resting.sleeper.level
        if not self.levels or self.levels[-1] is not level:
            self.levels.append(level)
            self.on_level(level)


MakeBed = Callable[..., Bed]


@pytest.fixture
def make_bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeBed:
    """Makes a box that sleeps by these settings, with engines that behave so; without D-Bus."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")

    def make(power: PowerSettings, behaviours: Sequence[str] = (), *, governed: bool = True) -> Bed:
        return Bed(tmp_path, power, behaviours, governed=governed)

    return make
