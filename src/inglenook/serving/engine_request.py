"""A request as orders for the engine, and the engine's refusal as a sentence. Kind: rules."""

from __future__ import annotations

from typing import TypeVar

from inglenook.chat.profiles import Profile
from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code, Problem
from inglenook.engine.events import JobRefused, Refusal
from inglenook.engine.orders import ChatMessage, ChatToolCall, Prefill, Sampling, StartJob, Thinking

_T = TypeVar("_T")

#: How far back penalties look, tokens; llama.cpp's default.
_PENALTY_LAST_N = 64

#: When to ask again where a schema could not be tried: most want of memory is over by then.
_UNTRIED_RETRY_S = 5.0


def start_order(
    request: ChatRequest, profile: Profile, seed: int, namespace: bytes = b""
) -> StartJob:
    """Turn a request into the engine's order, with the model's profile where it left the choice.

    Its ``job`` is 0, which no attempt has; `Job.attempt` numbers them.

    Args:
        request: What the client asked.
        profile: How this model likes to be asked.
        seed: Used if the request names none, so that the order alone fixes the answer.
        namespace: See `StartJob.namespace`.
    """
    sampling = Sampling(
        temperature=_or(request.temperature, profile.temperature),
        top_k=_or(request.top_k, profile.top_k),
        top_p=_or(request.top_p, profile.top_p),
        min_p=_or(request.min_p, profile.min_p),
        repeat_penalty=_or(request.repeat_penalty, profile.repeat_penalty),
        presence_penalty=_or(request.presence_penalty, profile.presence_penalty),
        frequency_penalty=_or(request.frequency_penalty, profile.frequency_penalty),
        penalty_last_n=_PENALTY_LAST_N,
        seed=_or(request.seed, seed),
    )
    return StartJob(
        0,
        _messages(request, profile),
        sampling,
        request.max_tokens,
        request.stop,
        request.ignore_eos,
        schema=request.schema,
        repetition_detection=request.repetition_detection,
        thinking=_thinking(request),
        namespace=namespace,
    )


def prepare_order(request: ChatRequest, profile: Profile, namespace: bytes = b"") -> Prefill:
    """Turn a request that is probably coming into an order to read it; its ``job`` is 0.

    Its messages are those that `start_order` makes of the same request: only then does the answer
    find what was read.
    """
    messages, thinking = _messages(request, profile), _thinking(request)
    return Prefill(0, messages, thinking=thinking, namespace=namespace)


def problem_of(refused: JobRefused) -> Problem:
    """Say to a person why the engine would not have a conversation."""
    if refused.why is Refusal.TEMPLATE:
        why = refused.detail.removesuffix(".")
        text = f"The model's chat template does not take this conversation: {why}."
        return Problem(Code.BAD_REQUEST, text)
    if refused.why is Refusal.SCHEMA:
        return Problem(Code.BAD_REQUEST, f"'response_format': {refused.detail}.")
    if refused.why is Refusal.SCHEMA_UNTRIED:
        text = f"The box could not try the JSON schema just now: {refused.detail}. Ask again."
        return Problem(Code.BUSY, text, retry_after_s=_UNTRIED_RETRY_S)
    length = f"{'at least ' if refused.at_least else ''}{refused.prompt_tokens}"
    return Problem(
        Code.CONTEXT_TOO_LONG,
        f"The conversation is {length} tokens long; this box can hold "
        f"{refused.request_tokens_max}, answer included. Start a new one or shorten it.",
    )


def _messages(request: ChatRequest, profile: Profile) -> tuple[ChatMessage, ...]:
    messages = [
        ChatMessage(
            message.role,
            message.text,
            tuple(ChatToolCall(c.call_id, c.name, c.arguments) for c in message.tool_calls),
            message.tool_call_id,
        )
        for message in request.messages
    ]
    if profile.system is not None and messages[0].role != "system":
        messages.insert(0, ChatMessage("system", profile.system))
    return tuple(messages)


def _thinking(request: ChatRequest) -> Thinking:
    choice = request.thinking
    return Thinking(choice.mode or "auto", choice.effort, choice.budget_tokens)


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value
