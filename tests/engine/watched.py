"""A supervised engine: everything it said, and waiting for things to happen."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.engine.events import JobEnded, JobRefused, JobStarted
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.orders import ChatMessage, LoadModel, Sampling, StartJob
from inglenook.engine.supervisor import Supervisor
from inglenook.engine.timeouts import Timeouts

WORKER = Path(__file__).parents[1] / "fakes" / "worker.py"

#: The daemon's own.
PATIENCE = Timeouts()

#: For things that take well below a second on an idle machine.
DEADLINE_S = 20.0

LOAD = LoadModel("/models/model.gguf", "{{ x }}", 4096, "f16", 8, 2, 0.2)

_GREEDY = Sampling(0.0, 0, 1.0, 0.0, 1.0, 0.0, 0.0, 64, 0)


def start(job: int, text: str = "hello") -> StartJob:
    """A job for the fake engine."""
    return StartJob(job, (ChatMessage("user", text),), _GREEDY, None, (), False)


def fake(script: Path, behaviours: Sequence[str]) -> tuple[str, ...]:
    """How to start fake engines that behave so, one after the other; see tests/fakes/worker.py."""
    script.write_text("".join(f"{how}\n" for how in behaviours))
    return (sys.executable, str(WORKER), str(script))


@dataclass
class Heard:
    """A sink: what one job was told."""

    what: list[str] = field(default_factory=list)
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    prompt_tokens: int = 0

    def started(self, event: JobStarted) -> None:
        self.what.append("started")
        self.prompt_tokens = event.prompt_tokens

    def added(self, text: str, tokens: Sequence[int], thinking: str = "") -> None:
        self.text += text
        self.tokens += tokens

    def ended(self, event: JobEnded) -> None:
        self._over(f"ended: {event.finish}")

    def refused(self, event: JobRefused) -> None:
        self._over(f"refused: {event.detail}")

    def lost(self, *, killed: bool) -> None:
        self._over("lost, killed" if killed else "lost")

    def unloaded(self) -> None:
        self._over("unloaded")

    def broken(self) -> None:
        if not self.over.is_set():
            self._over("broken")

    def _over(self, how: str) -> None:
        assert not self.over.is_set(), "nothing may follow the end"
        self.what.append(how)
        self.over.set()


class Engine:
    """A supervisor, and everything it said.

    Attributes:
        states: Every state it told, in order.
        slept_s: Every wait it asked for.
        missing: While set, there is no model, for this reason.
    """

    def __init__(
        self, worker: Sequence[str], load: LoadModel = LOAD, patience: Timeouts = PATIENCE
    ) -> None:
        """Nothing starts until `running`."""
        self.load = load
        self.states: list[EngineState] = []
        self.slept_s: list[float] = []
        self.missing: str | None = None
        self.on_change: Callable[[EngineState], None] = lambda _state: None
        self._changed = asyncio.Event()
        self.supervisor = Supervisor(
            self._prepare,
            self._heard,
            patience=patience,
            worker=worker,
            sleep=self._sleep,
        )

    @property
    def phases(self) -> list[EnginePhase]:
        """What it went through, without repeating."""
        phases = [state.phase for state in self.states]
        return [phase for at, phase in enumerate(phases) if at == 0 or phases[at - 1] != phase]

    async def until(self, phase: EnginePhase, times: int = 1) -> EngineState:
        """Wait until it has come into a phase that often; return the state it came with."""
        async with asyncio.timeout(DEADLINE_S):
            while self.phases.count(phase) < times:
                self._changed.clear()
                await self._changed.wait()
        return [state for state in self.states if state.phase is phase][-1]

    async def ask(self, job: int, text: str = "hello") -> Heard:
        """Give it a job and wait for its end."""
        heard = Heard()
        self.supervisor.start(start(job, text), heard)
        await over(heard)
        return heard

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it; at the end it is cancelled, and must be gone within its patience."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.supervisor.run(), name="engine")
            try:
                yield
            finally:
                task.cancel()
        assert self.states[-1].phase is EnginePhase.STOPPED
        assert self.supervisor.pid is None

    async def _prepare(self) -> tuple[str, LoadModel]:
        if self.missing is not None:
            raise StartupError(self.missing)
        return "model", self.load

    def _heard(self, state: EngineState) -> None:
        self.states.append(state)
        self._changed.set()
        self.on_change(state)

    async def _sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        await asyncio.sleep(0)


async def over(heard: Heard) -> None:
    """Wait for a job's end."""
    async with asyncio.timeout(DEADLINE_S):
        await heard.over.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what only looking again can tell: the loop closes its files on its next turns."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  # nobody would set an Event
            await asyncio.sleep(0)


def open_files() -> set[str]:
    """What this process has open, as the kernel names it."""
    names = set()
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.add(f"{fd.name} {fd.readlink()}")
    return names
