"""What an engine is to the rest of the program. Kind: words.

Everything behind `Engine` (one child process today) is private to ``engine/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from inglenook.engine.events import JobEnded, JobRefused, JobStarted, PrefillDone
from inglenook.engine.orders import Limits, Prefill, StartJob


class EnginePhase(StrEnum):
    """Where an engine is in its life, as the rest of the program needs to know it."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    MISSING = "missing"
    UNLOADED = "unloaded"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class EngineState:
    """The latest on an engine.

    Attributes:
        phase: Where it is.
        model: Short name of its model, empty if none could be read.
        why: At RESTARTING and MISSING one sentence for the operator; at UNLOADED too, if it is to
            be loaded and cannot be yet; else empty.
        progress: How far loading has come, 0 to 1.
        retry_in_s: At RESTARTING and MISSING, the time until the next attempt.
        request_tokens_max: Longest prompt plus answer; 0 until it is ready.
        threads: Compute threads it was loaded with; 0 until it is ready.
        model_id: Tells one model file from another by what is in it, whatever it is called; empty
            until it is ready. Tokens of one file mean nothing to another.
        dated: Its template tells the model the date.
    """

    phase: EnginePhase
    model: str = ""
    why: str = ""
    progress: float = 0.0
    retry_in_s: float = 0.0
    request_tokens_max: int = 0
    threads: int = 0
    model_id: str = ""
    dated: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do besides answering a conversation; by default what a local one can.

    Attributes:
        tools: It takes calls of tools and their results among a conversation's messages.
        resumes: It goes on with an answer by its tokens, see `StartJob.produced`. Without, answers
            are not preempted, and end with the engine.
        schemas: Answers keep to `StartJob.schema`.
        prefill: `Engine.prepare` pays.
    """

    tools: bool = False
    resumes: bool = True
    schemas: bool = True
    prefill: bool = True


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What a model takes.

    Attributes:
        total_bytes: Weights, pool, work and the cache in memory.
        mapped_bytes: Part of it that is mapped from its file.
    """

    total_bytes: int = 0
    mapped_bytes: int = 0


class Sink(Protocol):
    """Where the events of one job go. Calls are synchronous and never wait."""

    def started(self, event: JobStarted) -> None:
        """Its prompt is in tokens; text follows."""

    def added(self, text: str, tokens: Sequence[int], thinking: str = "") -> None:
        """More of the answer, or of the thought before it; see `Output`."""

    def ended(self, event: JobEnded) -> None:
        """It is over; nothing follows."""

    def refused(self, event: JobRefused) -> None:
        """It was never begun; nothing follows."""

    def lost(self, *, killed: bool) -> None:
        """The engine died under it; nothing follows.

        Args:
            killed: By somebody else, such as the kernel when memory is short.
        """

    def unloaded(self) -> None:
        """The engine was ended on purpose, which says nothing about the job; nothing follows."""

    def broken(self) -> None:
        """One of the calls above has failed in a way nobody foresaw; nothing follows."""


class PrefillSink(Protocol):
    """Where the end of one `Prefill` goes; exactly one of these is called, and never waits."""

    def prepared(self, event: PrefillDone) -> None:
        """It is over."""

    def refused(self, event: JobRefused) -> None:
        """Its conversation cannot be a prompt."""

    def lost(self, *, killed: bool) -> None:
        """The engine died under it; see `Sink.lost`."""

    def unloaded(self) -> None:
        """See `Sink.unloaded`."""

    def broken(self) -> None:
        """See `Sink.broken`; it may be called after another."""


class Engine(Protocol):
    """Something that writes answers."""

    @property
    def state(self) -> EngineState:
        """The latest state; a change is told to whoever was handed in at construction."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; the same for its whole life."""

    def start(self, start: StartJob, sink: Sink) -> None:
        """Begin a job.

        Raises:
            EngineError: If the engine is not `EnginePhase.READY`.
        """

    def prepare(self, prepare: Prefill, sink: PrefillSink) -> None:
        """Read ahead.

        Raises:
            EngineError: If the engine is not `EnginePhase.READY`.
        """

    def cancel(self, job: int) -> None:
        """End a job soon; its sink hears `Sink.ended` or `PrefillSink.prepared`.

        Unknown jobs are ignored.
        """

    def purge(self) -> None:
        """Forget what was kept of conversations, as far as no running job needs it."""


class LocalEngine(Engine, Protocol):
    """An engine that takes this box's memory, time and heat."""

    @property
    def pid(self) -> int | None:
        """Its process, if one is running."""

    def limit(self, limits: Limits) -> None:
        """Work no harder than that from now on, in engines yet to be started too."""

    def unload(self) -> None:
        """Give all memory back soon, until `load`; its jobs hear `Sink.unloaded`."""

    def load(self) -> None:
        """Have the model in memory again."""
