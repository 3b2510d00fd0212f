"""An engine without a process or a model: it writes what a test dictates, a token a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inglenook.common.errors import EngineError
from inglenook.engine.events import (
    Adjustment,
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    PrefillDone,
    Refusal,
)
from inglenook.engine.interface import Capabilities, EnginePhase, EngineState, PrefillSink, Sink
from inglenook.engine.orders import Limits, Prefill, StartJob
from inglenook.engine.thinking.forms import THINK
from inglenook.engine.thinking.signs import Signs
from inglenook.engine.thinking.tags import TagParser
from inglenook.engine.worker.decode.output_reader import OutputReader, OutputText

#: Bytes of one token each; None is a token that kills the engine.
Script = Sequence[bytes | None]

LETTERS: Script = [b"%c" % letter for letter in b"abcdefghijklmnopqrstuvwxyz"]

PROMPT_TOKENS = 10


@dataclass
class Writing:
    """One job under way; the token ids are places in its script."""

    start: StartJob
    sink: Sink
    script: Script
    produced: list[int] = field(default_factory=list)
    cancelled: bool = False

    def __post_init__(self) -> None:
        self._reader = _reader(self.start, thinking=False)

    def begin(self, *, thinking: bool, adjustments: tuple[Adjustment, ...] = ()) -> None:
        """Do what the real engine does first: tell all text that an engine before it has made."""
        self._reader = _reader(self.start, thinking=thinking)
        self.sink.started(JobStarted(self.start.job, PROMPT_TOKENS, adjustments))
        if self.start.produced:
            self.produced = list(self.start.produced)
            said = [self._read(token) for token in self.produced]
            answer, thought = ("".join(texts) for texts in zip(*said, strict=True))
            self.sink.added(answer, (), thought)

    def step(self) -> bool:
        """Write one more token; say whether the job goes on."""
        if self.cancelled:
            return self._end(Finish.CANCELLED)
        if self._reader.stopped or len(self.produced) == len(self.script):
            return self._end(Finish.STOP)
        if len(self.produced) != self.start.max_tokens:
            token = len(self.produced)
            self.produced.append(token)
            said = self._read(token)
            self.sink.added(said.answer, (token,), said.thinking)
        if self._reader.stopped:
            return self._end(Finish.STOP)
        if len(self.produced) == self.start.max_tokens:
            return self._end(Finish.LENGTH)
        return True

    def _end(self, finish: Finish) -> bool:
        said, tokens = self._reader.finish(), len(self.produced)
        job = self.start.job
        self.sink.ended(JobEnded(job, finish, said.answer, tokens, 0, 0.1, 0.1, said.thinking))
        return False

    def _read(self, token: int) -> OutputText:
        return self._reader.push(token, self.script[token] or b"")


def _reader(start: StartJob, *, thinking: bool) -> OutputReader:
    signs = Signs((), ())
    return OutputReader(TagParser(THINK, signs, "<think>" if thinking else ""), signs, start.stop)


class FakeEngine:
    """An `Engine` that does nothing by itself.

    Attributes:
        state: As of `Engine`; a test changes it with `die` and `come_back`.
        capabilities: As of `Engine`.
        running: Jobs under way, by number.
        orders: Every answer it was ever told to write.
        prepares: Everything it was ever told to read ahead.
        reading: What of that it is at, by job number; a test ends it, or a step if it is cancelled.
        cancels: Every job it was told to end, as often as it was told.
        limits: The latest it was given.
        purges: How often it was told to forget.
        on_change: Hears every new state; a desk's `engine_changed`.
        scripts: What it writes, by the last message of the question; else `LETTERS`.
        thinking: Whether every prompt has opened ``<think>`` already.
        adjustments: What was done to every conversation.
    """

    def __init__(self, *, scripts: Mapping[str, Script] | None = None, model: str = "tiny") -> None:
        self.state = EngineState(EnginePhase.READY, model, request_tokens_max=1000)
        self.capabilities = Capabilities()
        self.running: dict[int, Writing] = {}
        self.orders: list[StartJob] = []
        self.prepares: list[Prefill] = []
        self.cancels: list[int] = []
        self.reading: dict[int, tuple[Prefill, PrefillSink]] = {}
        self.limits = Limits()
        self.purges = 0
        self.on_change: Callable[[EngineState], None] = lambda _state: None
        self.scripts = dict(scripts or {})
        self.thinking = False
        self.adjustments: tuple[Adjustment, ...] = ()

    def start(self, start: StartJob, sink: Sink) -> None:
        """See `Engine.start`."""
        if self.state.phase is not EnginePhase.READY:
            raise EngineError("not ready")
        self.orders.append(start)
        writing = Writing(start, sink, self.scripts.get(start.messages[-1].content, LETTERS))
        self.running[start.job] = writing
        writing.begin(thinking=self.thinking, adjustments=self.adjustments)

    def cancel(self, job: int) -> None:
        """See `Engine.cancel`; the next step reports it."""
        self.cancels.append(job)
        if job in self.running:
            self.running[job].cancelled = True

    def prepare(self, prepare: Prefill, sink: PrefillSink) -> None:
        """See `Engine.prepare`; `have_read` ends it."""
        if self.state.phase is not EnginePhase.READY:
            raise EngineError("not ready")
        self.prepares.append(prepare)
        self.reading[prepare.job] = (prepare, sink)

    def have_read(self, job: int, *, tokens: int = PROMPT_TOKENS) -> None:
        """Come to the end of what is read ahead, with so many tokens ready."""
        _prepare, sink = self.reading.pop(job)
        sink.prepared(PrefillDone(job, PROMPT_TOKENS, tokens))

    def refuse(self, job: int) -> None:
        """Find that what is read ahead cannot be a prompt."""
        _prepare, sink = self.reading.pop(job)
        sink.refused(JobRefused(job, Refusal.TEMPLATE, detail="no such role"))

    def limit(self, limits: Limits) -> None:
        """See `Engine.limit`."""
        self.limits = limits

    def purge(self) -> None:
        """See `Engine.purge`."""
        self.purges += 1

    def step(self, steps: int = 1) -> None:
        """Write a token of every job that runs, so many times; a deadly one ends it all."""
        for _ in range(steps):
            for job in [job for job in self.reading if job in self.cancels]:
                self.have_read(job, tokens=PROMPT_TOKENS // 2)
            for number, writing in list(self.running.items()):
                if self._deadly(writing):
                    self.die()
                    return
                if not writing.step():
                    del self.running[number]

    def die(self, *, killed: bool = False, retry_in_s: float = 0.2) -> None:
        """Lose everything that runs."""
        self.tell(EnginePhase.RESTARTING, why="it died", retry_in_s=retry_in_s)
        lost, self.running = self.running, {}
        unread, self.reading = self.reading, {}
        for writing in lost.values():
            writing.sink.lost(killed=killed)
        for _prepare, sink in unread.values():
            sink.lost(killed=killed)

    def unload(self) -> None:
        """End on purpose, under everything that runs."""
        self.tell(EnginePhase.UNLOADED)
        lost, self.running = self.running, {}
        unread, self.reading = self.reading, {}
        for writing in lost.values():
            writing.sink.unloaded()
        for _prepare, sink in unread.values():
            sink.unloaded()

    def come_back(self, model: str | None = None) -> None:
        """Be ready again, perhaps with another model."""
        self.state = replace(self.state, model=model or self.state.model)
        self.tell(EnginePhase.READY)

    def tell(self, phase: EnginePhase, *, why: str = "", retry_in_s: float = 0.0) -> None:
        """Enter a phase."""
        self.state = replace(self.state, phase=phase, why=why, retry_in_s=retry_in_s)
        self.on_change(self.state)

    def _deadly(self, writing: Writing) -> bool:
        place = len(writing.produced)
        return place < len(writing.script) and writing.script[place] is None
