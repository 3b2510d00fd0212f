"""Orders from the daemon to an engine, with their parameters. Kind: words."""

from __future__ import annotations

from typing import Literal

import msgspec


class ChatToolCall(msgspec.Struct, frozen=True, array_like=True):
    """A call of a tool in an earlier answer; ``arguments`` is a JSON object as text."""

    call_id: str
    name: str
    arguments: str


class ChatMessage(msgspec.Struct, frozen=True, array_like=True):
    """One message of a conversation, as a chat template wants it.

    Attributes:
        tool_calls: Of an assistant's message, for engines with `Capabilities.tools`.
        tool_call_id: The call whose result a tool's message is; empty for other roles.
    """

    role: str
    content: str
    tool_calls: tuple[ChatToolCall, ...] = ()
    tool_call_id: str = ""


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


class StartJob(msgspec.Struct, frozen=True, tag="Start"):  # as journals have it
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
        namespace: Part of the identity of its tokens in all caches: they are shared within one
            namespace only. Whatever else their states depend on belongs into it (an adapter, the
            digest of an image), and a salt for devices that shall not share.
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
    namespace: bytes = b""


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
        namespace: As in that `StartJob`, too.
    """

    job: int
    messages: tuple[ChatMessage, ...]
    moment_s: float | None = None
    thinking: Thinking = Thinking()
    namespace: bytes = b""


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
