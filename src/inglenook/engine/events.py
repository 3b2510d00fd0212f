"""Events from an engine to the daemon. Kind: words."""

from __future__ import annotations

from enum import StrEnum

import msgspec


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
