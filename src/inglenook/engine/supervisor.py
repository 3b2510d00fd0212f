"""Keeps one engine process alive and tells its jobs when it was not. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from inglenook.common.errors import EngineError, StartupError
from inglenook.common.guarded import Guard
from inglenook.common.restarting import TaskGuard
from inglenook.engine.child import Child, WorkerExited
from inglenook.engine.crash_record import CrashRecord, read_stamp
from inglenook.engine.events import Ready
from inglenook.engine.failures import ModelUnloadable, ModelWontFitNow
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.job_channel import JobChannel
from inglenook.engine.orders import LoadModel
from inglenook.engine.outage import Outage
from inglenook.engine.timeouts import Timeouts

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "inglenook.engine.worker")

#: How often it is seen whether there is room for the model by now, seconds.
_RECHECK_S = 5.0

#: How often it is seen whether a file at which engines die has been replaced, seconds: each look
#: reads a whole vocabulary.
_DEADLY_LOOK_S = 30.0

_PATIENCE = Timeouts()


class Supervisor(JobChannel):
    """A `LocalEngine` that is one child process, started again whenever it dies."""

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
        super().__init__(on_change, model, patience)
        self._prepare = prepare
        self._outage = Outage()
        self._worker = worker
        self._sleep = sleep
        # No `TaskGuard`: also when this is cancelled, the process has to be gone.
        self._burying = Guard("ending the engine")
        self._attempting = TaskGuard("starting the engine")
        self._following = TaskGuard("following the engine", foreseen=(EngineError,))
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._life: asyncio.Timeout | None = None
        self._deadly = CrashRecord()

    def overdue(self, now: float) -> bool:
        """Whether this hangs: the engine was silent for more than it may, and still was not killed.

        Or what is done between engines does not end, such as a look at a drive that hangs.

        Args:
            now: Time of the event loop, seconds.
        """
        return self._silence.overdue(now)

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
            with self._silence.due_in(self._silence.timeouts.between_s):
                name, load = await self._prepare()
                self._deadly.begins(await asyncio.to_thread(read_stamp, load.path))
        except ModelWontFitNow as exc:
            return self._without_room(str(exc))
        except StartupError as exc:
            return self._without_model(self._outage.missing("", str(exc)))
        if self._deadly.is_known:
            return self._without_deadly(name, load)
        self._tell(EngineState(EnginePhase.LOADING, model=name))
        try:
            with self._silence.due_in(self._silence.timeouts.between_s):
                child = self._child = await Child.spawn(self._worker)
        except EngineError as exc:
            return self._after_death(name, exc)
        try:
            with self._following:
                await self._converse(child, name, load)
            raise EngineError("the engine could not be followed; the log says why")
        except ModelUnloadable as exc:
            now = asyncio.get_running_loop().time()
            return self._without_model(self._outage.unloadable(name, str(exc), now))
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
            with self._silence.due_in(
                self._silence.timeouts.close_s + self._silence.timeouts.between_s
            ):
                await self._bury(child)

    async def _bury(self, child: Child) -> None:
        """See its process gone; a second time at once, should that fail unforeseen."""
        with self._burying:
            await child.close(self._silence.timeouts.close_s)
            return
        await child.close(0.0)

    def _after_death(self, name: str, why: EngineError) -> float:
        state = self._outage.died(name, why, asyncio.get_running_loop().time())
        for line in why.tail if isinstance(why, WorkerExited) else ():
            log.warning("its last words: %s", line)
        self._tell(state)
        self._lose_jobs(killed=isinstance(why, WorkerExited) and why.killed)
        return state.retry_in_s

    def _without_model(self, state: EngineState) -> float:
        self._tell(state)
        # That says nothing about the jobs.
        self._sinks.unload()
        return state.retry_in_s

    def _without_deadly(self, name: str, load: LoadModel) -> float:
        why = (
            f"cannot use the model file {load.path}: llama.cpp cannot load it and ends with it each"
            " time; choose another model, or replace the file or llama.cpp by a newer one"
        )
        return self._without_model(self._outage.missing(name, why, at_least_s=_DEADLY_LOOK_S))

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

    async def _converse(self, child: Child, name: str, load: LoadModel) -> NoReturn:
        async with self._silence.watching():
            while True:
                for event in await child.events():
                    if isinstance(event, Ready):
                        self._outage.over()
                        self._deadly.ready()
                    self._heard(child, name, load, event)
                self._silence.bear(self._patience_s())
