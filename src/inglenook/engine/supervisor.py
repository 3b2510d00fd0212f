"""Keeps one engine process alive and tells its jobs when it was not. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from inglenook.common.errors import EngineError, StartupError
from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.engine.backoff import recheck_delay_s, restart_delay_s, still_counting
from inglenook.engine.child import Child, WorkerExited
from inglenook.engine.crash_record import CrashRecord, read_stamp
from inglenook.engine.events import (
    JobEnded,
    JobRefused,
    JobStarted,
    LoadFailed,
    PrefillDone,
    Progress,
    Ready,
    StepDone,
    WorkerHello,
)
from inglenook.engine.failures import ModelUnloadable, ModelWontFitNow, WorkerSilent
from inglenook.engine.frames import BadFrame
from inglenook.engine.interface import Capabilities, EnginePhase, EngineState, PrefillSink, Sink
from inglenook.engine.messages import PIPE_VERSION, Event
from inglenook.engine.orders import CancelJob, Limits, LoadModel, Prefill, PurgeCache, StartJob
from inglenook.engine.sinks import Sinks
from inglenook.engine.timeouts import Timeouts

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "inglenook.engine.worker")

#: How often it is seen whether there is room for the model by now, seconds.
_RECHECK_S = 5.0

#: How often it is seen whether a file at which engines die has been replaced, seconds: each look
#: reads a whole vocabulary.
_DEADLY_LOOK_S = 30.0

#: A silent engine is killed at once, and between engines there is little to do; what is not over so
#: much later hangs, seconds.
_OVERDUE_S = 10.0

#: A silence may be borne for so much less than its phase allows, as a share of that.
_TIMER_SLACK = 0.02

_PATIENCE = Timeouts()


class Supervisor:
    """An `Engine` that is one child process, started again whenever it dies."""

    def __init__(
        self,
        prepare: Callable[[], Awaitable[tuple[str, LoadModel]]],
        on_change: Callable[[EngineState], None],
        *,
        model: str = "",
        patience: Timeouts = _PATIENCE,
        worker: Sequence[str] = WORKER,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing starts until `run`.

        Args:
            prepare: Checks the model file and returns the model's short name and how to load it; a
                StartupError from it is shown to people and `prepare` is asked again later. Unless
                it is a `ModelWontFitNow`, there is no use in waiting for that.
            on_change: Hears every new state, synchronously.
            model: Short name of the model, if it is known before it is read: questions may come
                before, and how they are put depends on it.
            patience: How long to wait for signs of life.
            worker: The program to start.
            sleep: Waits between attempts.
        """
        self._prepare = prepare
        self._on_change = on_change
        self._patience = patience
        self._worker = worker
        self._sleep = sleep
        self._child: Child | None = None
        self._sinks = Sinks(self._send_cancel)
        self._telling = Guard("news of the engine")
        # No `TaskGuard`: also when this is cancelled, the process has to be gone.
        self._burying = Guard("ending the engine")
        self._attempting = TaskGuard("starting the engine")
        self._following = TaskGuard("following the engine", foreseen=(EngineError,))
        self._limits = Limits()
        self._purge = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._life: asyncio.Timeout | None = None
        self._silence: asyncio.Timeout | None = None
        self._borne_s = 0.0
        self._due_s: float | None = None
        self._deaths: list[float] = []
        self._deadly = CrashRecord()
        self._complaint = ""
        self._missed = 0
        self._state = EngineState(EnginePhase.LOADING, model)

    @property
    def state(self) -> EngineState:
        """The latest state."""
        return self._state

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`: templates are given text alone so far."""
        return Capabilities()

    @property
    def pid(self) -> int | None:
        """Process id of the engine, if one is running."""
        return self._child.pid if self._child else None

    def overdue(self, now: float) -> bool:
        """Whether this hangs: the engine was silent for more than it may, and still was not killed.

        Or what is done between engines does not end, such as a look at a drive that hangs.

        Args:
            now: Time of the event loop, seconds.
        """
        due_s = self._due_s if self._silence is None else self._silence.when()
        return due_s is not None and now - due_s > _OVERDUE_S

    def start(self, start: StartJob, sink: Sink) -> None:
        """Begin a job; see `Engine.start`."""
        self._ready_child().send(start)
        self._expect_work()
        self._sinks.write(start.job, sink)

    def prepare(self, prepare: Prefill, sink: PrefillSink) -> None:
        """Read ahead; see `Engine.prepare`."""
        self._ready_child().send(prepare)
        self._expect_work()
        self._sinks.read(prepare.job, sink)

    def cancel(self, job: int) -> None:
        """End a job soon; see `Engine.cancel`."""
        if job in self._sinks:
            self._send_cancel(job)

    def limit(self, limits: Limits) -> None:
        """Work no harder than that; see `Engine.limit`."""
        if limits == self._limits:
            return
        self._limits = limits
        if self._child is not None and self._state.phase is EnginePhase.READY:
            self._child.send(limits)

    def purge(self) -> None:
        """Forget what was kept; see `Engine.purge`. If no engine is ready, the next one does."""
        self._purge = True
        self._send_purge()

    def unload(self) -> None:
        """End the engine soon, so that all its memory comes back, and start none until `load`.

        Its jobs hear `Sink.unloaded`, once the state is `EnginePhase.UNLOADED`.
        """
        self._wanted.clear()
        if self._life is not None and not self._life.expired():
            self._life.reschedule(asyncio.get_running_loop().time())

    def load(self) -> None:
        """Have an engine again after `unload`, once the one before is gone."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep an engine running until cancelled. Never raises for what an engine or model does."""
        try:
            while True:
                # Looked at again after a wait: by then it may have been called off.
                if self._wanted.is_set():
                    await self._run_while_wanted()
                else:
                    self._without_engine(self._state.model)
                    await self._wanted.wait()
        finally:
            self._tell(EngineState(EnginePhase.STOPPED, self._state.model))
            self._lose_jobs(killed=True)

    async def _run_while_wanted(self) -> None:
        try:
            async with asyncio.timeout(None) as self._life:
                while True:
                    await self._sleep(await self._attempt_or_fail())
        except TimeoutError:
            log.info("model %s unloaded", self._state.model)
        finally:
            self._life = None

    def _ready_child(self) -> Child:
        """The engine, for a new job."""
        if self._child is None or self._state.phase is not EnginePhase.READY:
            raise EngineError("the engine is not ready")
        return self._child

    def _expect_work(self) -> None:
        if not self._sinks and self._silence is not None:
            # It was waited for without limit; from now on signs of life are due.
            self._bear_silence_of(self._patience.step_s)

    async def _attempt_or_fail(self) -> float:
        """As `_attempt`; what nobody foresaw there is as if the engine had died of it."""
        with self._attempting:
            return await self._attempt()
        why = EngineError("the engine could not be started; the log says why")
        return self._after_death(self._state.model, why)

    async def _attempt(self) -> float:
        """One engine's life, from birth to burial.

        Returns:
            How long to wait before the next attempt, seconds.
        """
        try:
            with self._due_in(self._patience.between_s):
                name, load = await self._prepare()
                self._deadly.begins(await asyncio.to_thread(read_stamp, load.path))
        except ModelWontFitNow as exc:
            return self._without_room(str(exc))
        except StartupError as exc:
            return self._without_model("", str(exc))
        if self._deadly.is_known:
            return self._without_deadly(name, load)
        self._tell(EngineState(EnginePhase.LOADING, model=name))
        try:
            with self._due_in(self._patience.between_s):
                child = self._child = await Child.spawn(self._worker)
        except EngineError as exc:
            return self._after_death(name, exc)
        try:
            with self._following:
                await self._converse(child, name, load)
            raise EngineError("the engine could not be followed; the log says why")
        except ModelUnloadable as exc:
            return self._without_model(name, str(exc), at_least_s=self._delay_s())
        except EngineError as exc:
            # Phones hear of it now, not after its burial.
            child.kill()
            if self._state.phase is EnginePhase.LOADING:
                self._deadly.died(exc)
            if self._deadly.is_known:
                return self._without_deadly(name, load)
            return self._after_death(name, exc)
        finally:
            self._child = None
            if self._life is not None and self._life.expired():
                # Phones hear of it now, too.
                self._without_engine(name)
            with self._due_in(self._patience.close_s + self._patience.between_s):
                await self._bury(child)

    @contextmanager
    def _due_in(self, within_s: float) -> Iterator[None]:
        """What is done in this block must be over within so many seconds."""
        self._due_s = asyncio.get_running_loop().time() + within_s
        try:
            yield
        finally:
            self._due_s = None

    async def _bury(self, child: Child) -> None:
        """See its process gone; a second time at once, should that fail unforeseen."""
        with self._burying:
            await child.close(self._patience.close_s)
            return
        await child.close(0.0)

    def _after_death(self, name: str, why: EngineError) -> float:
        delay_s = self._delay_s()
        log.warning("%s; it starts again in %.1f s", why, delay_s)
        for line in why.tail if isinstance(why, WorkerExited) else ():
            log.warning("its last words: %s", line)
        self._tell(EngineState(EnginePhase.RESTARTING, name, str(why), retry_in_s=delay_s))
        self._lose_jobs(killed=isinstance(why, WorkerExited) and why.killed)
        return delay_s

    def _without_model(self, name: str, why: str, *, at_least_s: float = 0.0) -> float:
        """Wait for a model whose file is gone or wrong: its owner may be moving or copying it."""
        if self._complaint != why:
            log.error("no model: %s", why)
            self._complaint = why
        delay_s = max(recheck_delay_s(self._missed), at_least_s)
        self._missed += 1
        self._tell(EngineState(EnginePhase.MISSING, name, why, retry_in_s=delay_s))
        # That says nothing about the jobs.
        self._sinks.unload()
        return delay_s

    def _without_deadly(self, name: str, load: LoadModel) -> float:
        why = (
            f"cannot use the model file {load.path}: llama.cpp cannot load it and ends with it each"
            " time; choose another model, or replace the file or llama.cpp by a newer one"
        )
        return self._without_model(name, why, at_least_s=_DEADLY_LOOK_S)

    def _without_room(self, why: str) -> float:
        # The numbers in it change from one look to the next.
        if self._state.phase is not EnginePhase.UNLOADED or not self._state.why:
            log.warning("the model waits: %s", why)
        self._without_engine(self._state.model, why)
        return _RECHECK_S

    def _without_engine(self, name: str, why: str = "") -> None:
        state = EngineState(EnginePhase.UNLOADED, name, why)
        if state != self._state:
            self._tell(state)
        self._sinks.unload()

    def _delay_s(self) -> float:
        """Count a death, and say how long to wait after it, seconds."""
        now = asyncio.get_running_loop().time()
        self._deaths = [*still_counting(self._deaths, now), now]
        return restart_delay_s(self._deaths, now)

    async def _converse(self, child: Child, name: str, load: LoadModel) -> NoReturn:
        try:
            async with asyncio.timeout(self._patience.hello_s) as self._silence:
                self._borne_s = self._patience.hello_s
                while True:
                    for event in await child.events():
                        self._heard(child, name, load, event)
                    self._bear_silence_of(self._patience_s())
        except TimeoutError:
            raise WorkerSilent(self._borne_s) from None
        finally:
            self._silence = None

    def _bear_silence_of(self, patience_s: float | None) -> None:
        """The next sign of life may take so long from now on."""
        assert self._silence is not None
        if patience_s is None:
            self._silence.reschedule(None)
            return
        self._borne_s = patience_s
        due_s = asyncio.get_running_loop().time() + patience_s
        known_s = self._silence.when()
        # Signs of life come many times a second; the timer need not be moved for each.
        if known_s is None or abs(due_s - known_s) > patience_s * _TIMER_SLACK:
            self._silence.reschedule(due_s)

    def _patience_s(self) -> float | None:
        """How long the engine may be silent now; None while it has nothing to do."""
        if self._state.phase is EnginePhase.LOADING:
            return self._patience.load_s
        return self._patience.step_s if self._sinks else None

    def _heard(self, child: Child, name: str, load: LoadModel, event: Event) -> None:
        match event:
            case StepDone():
                for output in event.outputs:
                    self._sinks.added(output)
            case JobStarted() | JobEnded() | PrefillDone() | JobRefused():
                self._sinks.heard(event)
            case WorkerHello():
                if event.pipe_version != PIPE_VERSION:
                    raise BadFrame(f"version {event.pipe_version}, not {PIPE_VERSION}")
                child.send(load)
            case Progress():
                self._tell(EngineState(EnginePhase.LOADING, name, progress=event.fraction))
            case Ready():
                size = f"{event.context_tokens} tokens of context, {event.threads} threads"
                log.info("model %s ready: %s, loaded in %.1f s", name, size, event.load_s)
                self._complaint, self._missed = "", 0
                self._deadly.ready()
                if self._limits != Limits():
                    child.send(self._limits)
                self._tell(
                    EngineState(
                        EnginePhase.READY,
                        name,
                        request_tokens_max=event.request_tokens_max,
                        threads=event.threads,
                        model_id=event.model_id,
                        dated=event.dated,
                    )
                )
                self._send_purge()
            case LoadFailed():
                raise ModelUnloadable(f"{load.path}: {event.why}")

    def _send_cancel(self, job: int) -> None:
        if self._child is not None:
            self._child.send(CancelJob(job))

    def _send_purge(self) -> None:
        if self._purge and self._child is not None and self._state.phase is EnginePhase.READY:
            self._child.send(PurgeCache())
            self._purge = False

    def _tell(self, state: EngineState) -> None:
        self._state = state
        with self._telling:
            self._on_change(state)

    def _lose_jobs(self, *, killed: bool = False) -> None:
        self._sinks.lose(killed=killed)
