"""Jobs of the engine process that runs now, and what it answers. Kind: hands."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inglenook.common.errors import EngineError
from inglenook.common.guarded import Guard
from inglenook.engine.child import Child
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
from inglenook.engine.failures import ModelUnloadable
from inglenook.engine.frames import BadFrame
from inglenook.engine.interface import Capabilities, EnginePhase, EngineState, PrefillSink, Sink
from inglenook.engine.messages import PIPE_VERSION, Event
from inglenook.engine.orders import CancelJob, Limits, LoadModel, Prefill, PurgeCache, StartJob
from inglenook.engine.silence import SilenceWatch
from inglenook.engine.sinks import Sinks
from inglenook.engine.timeouts import Timeouts

log = logging.getLogger(__name__)


class JobChannel:
    """The part of a `Supervisor` that jobs see: an `Engine` while a process is there."""

    def __init__(
        self, on_change: Callable[[EngineState], None], model: str, timeouts: Timeouts
    ) -> None:
        """There is no process yet; see `Supervisor`."""
        self._on_change = on_change
        self._child: Child | None = None
        self._sinks = Sinks(self._send_cancel)
        self._silence = SilenceWatch(timeouts)
        self._telling = Guard("news of the engine")
        self._limits = Limits()
        self._purge = False
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

    def _ready_child(self) -> Child:
        """The engine, for a new job."""
        if self._child is None or self._state.phase is not EnginePhase.READY:
            raise EngineError("the engine is not ready")
        return self._child

    def _expect_work(self) -> None:
        if not self._sinks and self._silence.timer is not None:
            # It was waited for without limit; from now on signs of life are due.
            self._silence.bear(self._silence.timeouts.step_s)

    def _patience_s(self) -> float | None:
        """How long the engine may be silent now; None while it has nothing to do."""
        if self._state.phase is EnginePhase.LOADING:
            return self._silence.timeouts.load_s
        return self._silence.timeouts.step_s if self._sinks else None

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
