"""What the daemon and an engine say to each other, and what an engine looks like. Kind: words.

Orders go down to the engine, events come back up. This module is the seam: whatever stands behind
`Engine` (one child process today) is a matter for ``engine/`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

#: Raised with every change to a message below; both sides must agree before anything else is said.
PIPE_VERSION = 6


class ChatMessage(msgspec.Struct, frozen=True, array_like=True):
    """One message of a conversation, as a chat template wants it."""

    role: str
    content: str


class Sampling(msgspec.Struct, frozen=True, array_like=True):
    """How the next token is chosen; the field names are llama.cpp's.

    Attributes:
        temperature: 0 takes the likeliest token always (greedy); the others then do nothing,
            but for the penalties.
        top_k: Keep the k likeliest; 0 keeps all.
        top_p: Keep the likeliest that together reach this probability; 1 keeps all.
        min_p: Drop what is less likely than this share of the likeliest; 0 drops nothing.
        repeat_penalty: Divides the score of tokens that the answer had lately; 1 is off.
        presence_penalty: Taken off the score of tokens that the answer had lately; 0 is off.
        frequency_penalty: Taken off once for every time it had a token lately; 0 is off.
        penalty_last_n: How many tokens back "lately" reaches.
        seed: Start of the random numbers, 0 to 2**32-1.
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    penalty_last_n: int
    seed: int


class Thinking(msgspec.Struct, frozen=True, array_like=True):
    """Whether, and how much, the model is to think before it answers.

    Attributes:
        mode: ``auto`` is what the model does by itself. ``off`` also ends at once what it thinks
            all the same.
        effort: A word, for templates that know such; None leaves it to the template.
        budget_tokens: Most tokens of thought; then it is ended, and the answer begins. None is no
            bound.
    """

    mode: Literal["auto", "on", "off"] = "auto"
    effort: str | None = None
    budget_tokens: int | None = None


class PrefixCache(msgspec.Struct, frozen=True, array_like=True):
    """Bounds of the prefix cache beyond the pool itself.

    Attributes:
        folder: Where its files are; the engine makes a folder in it for each fingerprint.
        ram_bytes: Bound of the tier in memory; 0 is off.
        disk_bytes: Bound of the files of all models together; 0 is off.
    """

    folder: str
    ram_bytes: int
    disk_bytes: int


class LoadModel(msgspec.Struct, frozen=True, tag=True):
    """First order: read this model.

    Attributes:
        path: The GGUF file.
        chat_template: The Jinja text that turns a conversation into a prompt.
        context_tokens: Cells in the one KV pool that all sequences share.
        kv_type: Type of the pool's cells.
        sequences: How many answers may be written at once.
        threads: Compute threads; None lets the engine choose by the cores it finds.
        step_budget_s: How long one step may take while somebody is reading along.
        ubatch_tokens: How many tokens the library computes in one pass through the weights.
        flash_attention: ``auto`` lets the library choose by the model.
        speculate: Draft tokens by prompt lookup wherever that is measured to pay.
        prefix: Where and how much of what was read is kept.
        use_mmap: Map the file into memory; False reads it, where its file system cannot map.
    """

    path: str
    chat_template: str
    context_tokens: int
    kv_type: Literal["f16", "q8_0"]
    sequences: int
    threads: int | None
    step_budget_s: float
    ubatch_tokens: int = 512
    flash_attention: Literal["auto", "on", "off"] = "auto"
    speculate: bool = False
    prefix: PrefixCache | None = None
    use_mmap: bool = True


class StartJob(msgspec.Struct, frozen=True, tag=True):
    """Write one answer.

    Attributes:
        job: The daemon's number for it; never used twice in one engine's life.
        max_tokens: None goes on until the model ends or the context is full.
        ignore_eos: Go on past the model's own end, for benchmarks.
        produced: Tokens of the answer that an engine before this one has written already. It goes
            on after them; their whole text comes first, as an `Output` without tokens.
        schema: JSON schema, as text, that the answer keeps to, once its thinking is over; None
            leaves it free.
        repetition_detection: End the answer when it repeats itself without end.
        moment_s: See `Prefill.moment_s`.
        thinking: Whether, and how much, the model is to think.
    """

    job: int
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...]
    ignore_eos: bool
    produced: tuple[int, ...] = ()
    schema: str | None = None
    repetition_detection: bool = False
    moment_s: float | None = None
    thinking: Thinking = Thinking()


class CancelJob(msgspec.Struct, frozen=True, tag=True):
    """End a job within one step; answered by `JobEnded`. A job it does not know has just ended."""

    job: int


class Prefill(msgspec.Struct, frozen=True, tag=True):
    """Read the likely beginning of a coming prompt, while nobody waits for an answer.

    Answered by `PrefillDone` or `JobRefused`, once, also if it is cancelled.

    Attributes:
        job: Out of the same numbers as `StartJob.job`.
        messages: The conversation so far. If the last is the user's it may be half typed.
        moment_s: What time it is in the conversation, for templates that tell the model the date,
            seconds since 1970; None is the present.
        thinking: As in the `StartJob` that is coming: the prompt depends on it.
    """

    job: int
    messages: tuple[ChatMessage, ...]
    moment_s: float | None = None
    thinking: Thinking = Thinking()


class Limits(msgspec.Struct, frozen=True, tag=True):
    """How hard the engine may work from now on; the latest counts.

    Attributes:
        step_budget_s: How long one step may take while somebody is reading along; None as loaded.
        threads: Compute threads; None as loaded.
        duty: Share of time to compute in, the rest is slept between steps; 0 stops all computing
            until the next `Limits`.
        ram_bytes: Bound of the prefix cache's tier in memory; None as loaded.
    """

    step_budget_s: float | None = None
    threads: int | None = None
    duty: float = 1.0
    ram_bytes: int | None = None


class PurgeCache(msgspec.Struct, frozen=True, tag=True):
    """Forget everything that was kept for later, in the pool, in memory and on disk."""


class WorkerHello(msgspec.Struct, frozen=True, tag=True):
    """First event: the engine process is up and speaks this version."""

    pipe_version: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Loading has come this far, 0 to 1."""

    fraction: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded and warm.

    Attributes:
        context_tokens: Cells in the pool, as the library rounded them.
        request_tokens_max: Longest prompt plus answer of one request.
        threads: Compute threads in use.
        load_s: How long loading took, warm-up included.
        model_id: See `EngineState.model_id`.
        dated: See `EngineState.dated`.
    """

    context_tokens: int
    request_tokens_max: int
    threads: int
    load_s: float
    model_id: str = ""
    dated: bool = False


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The library refused the model; the process ends after this. ``why`` is for the operator."""

    why: str


class Adjustment(StrEnum):
    """What was done to a conversation that the model's template would refuse, or lose a part of.

    docs/protocol.md has them too.
    """

    SYSTEM_FOLDED = "system_folded"
    SYSTEM_JOINED = "system_joined"
    MERGED = "messages_merged"
    EMPTY_LEFT_OUT = "empty_left_out"
    EMPTY_ADDED = "empty_added"
    #: By the template itself, which may take it for more than words.
    WORDS_LEFT_OUT = "words_left_out"


class JobStarted(msgspec.Struct, frozen=True, tag=True):
    """A job has its prompt in tokens and its place in the batch.

    Attributes:
        adjustments: What was done to its conversation.
    """

    job: int
    prompt_tokens: int
    adjustments: tuple[Adjustment, ...] = ()


class PrefillDone(msgspec.Struct, frozen=True, tag=True):
    """A `Prefill` is over: nothing of it is left but what the cache holds.

    Attributes:
        prompt_tokens: What was to be read.
        cached_tokens: How many tokens from the start on are ready now.
    """

    job: int
    prompt_tokens: int
    cached_tokens: int


class Refusal(StrEnum):
    """Why a job was not begun."""

    CONTEXT_TOO_LONG = "context_too_long"
    TEMPLATE = "template"
    SCHEMA = "schema"
    SCHEMA_UNTRIED = "schema_untried"


class JobRefused(msgspec.Struct, frozen=True, tag=True):
    """A job that was never begun.

    Attributes:
        detail: For `Refusal.TEMPLATE`, the template's own words; for `Refusal.SCHEMA`, where and
            why; for `Refusal.SCHEMA_UNTRIED`, why it could not be tried just then; else empty.
        at_least: The prompt was not read to its end; it has ``prompt_tokens`` at least.
    """

    job: int
    why: Refusal
    prompt_tokens: int = 0
    request_tokens_max: int = 0
    detail: str = ""
    at_least: bool = False


class Output(msgspec.Struct, frozen=True, array_like=True):
    """What one step added to one job; no text while a character, a stop string or a tag is unsure.

    Attributes:
        text: Of the answer.
        thinking: Text of the thought, which comes before that of the answer.
    """

    job: int
    text: str
    tokens: tuple[int, ...]
    thinking: str = ""


class StepDone(msgspec.Struct, frozen=True, tag=True):
    """One step is done: a sign of life, and the text it made for every job in it."""

    outputs: tuple[Output, ...]


class Finish(StrEnum):
    """How a job ended."""

    STOP = "stop"
    LENGTH = "length"
    REPETITION = "repetition"
    CANCELLED = "cancelled"
    FAILED = "failed"


class JobEnded(msgspec.Struct, frozen=True, tag=True):
    """A job is over; nothing follows.

    Attributes:
        text: What was still held back of the answer.
        completion_tokens: Tokens of the answer in all, those produced before included.
        cached_tokens: How many tokens from the start on were found in the cache, not computed.
        prefill_s: Time in steps before this engine's first token.
        decode_s: Time from this engine's first token to the last.
        thinking: What was still held back of the thought.
    """

    job: int
    finish: Finish
    text: str
    completion_tokens: int
    cached_tokens: int
    prefill_s: float
    decode_s: float
    thinking: str = ""


Order = LoadModel | StartJob | Prefill | CancelJob | Limits | PurgeCache
Event = (
    WorkerHello
    | Progress
    | Ready
    | LoadFailed
    | JobStarted
    | PrefillDone
    | JobRefused
    | StepDone
    | JobEnded
)

encode = msgspec.msgpack.Encoder().encode
decode_order: Callable[[bytes], Order] = msgspec.msgpack.Decoder(Order).decode
decode_event: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode

#: What both decoders raise: beside msgspec's own, for text that is not UTF-8 and endless nesting.
NOT_A_MESSAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


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

    def limit(self, limits: Limits) -> None:
        """Work no harder than that from now on, in engines yet to be started too."""

    def purge(self) -> None:
        """Forget what was kept of conversations, as far as no running job needs it."""
