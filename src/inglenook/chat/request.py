"""An OpenAI chat body, checked. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inglenook.chat.messages import Message, parse_messages
from inglenook.chat.schema import schema_of
from inglenook.chat.thinking import ThinkingChoice, choice_in
from inglenook.common.errors import Code, Problem

STOPS_MAX = 16
STOP_CHARACTERS_MAX = 256

_SEED_MAX = 2**32 - 1

#: Far beyond any context; it is there so that a number means something.
_TOKENS_MAX = 2**20

#: Fields that would change the answer, and that this version does not know how to honour. Taking
#: them silently would give an answer to another question.
_NOT_SUPPORTED = ("tools", "functions", "logit_bias")


_OPEN = ThinkingChoice()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request; None leaves a value to the model's profile.

    Attributes:
        messages: At least one; the last can be answered, unless it is still being typed.
        model: The model it names, if any.
        max_tokens: Longest answer.
        stop: Strings that end the answer; they are not part of it.
        ignore_eos: Go on past the model's own end, for benchmarks.
        seed: Start of the random numbers, for an answer that can be had again.
        schema: JSON schema, as text, that the answer has to keep to; None leaves it free.
        repetition_detection: End the answer when it repeats itself without end.
        thinking: Whether, and how much, the model is to think.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    schema: str | None = None
    repetition_detection: bool = True
    thinking: ThinkingChoice = _OPEN


def parse_chat_request(body: Any, *, asked: bool = True, tools: bool = False) -> ChatRequest:
    """Check an OpenAI chat body, as in ``/v1/chat/completions``.

    Unknown fields are ignored, as OpenAI's own clients send new ones every year; known ones that
    this version cannot honour are refused.

    Args:
        body: As it came.
        asked: False lets the conversation end with a message of any role, or an empty one, as it
            does while its next question is being typed.
        tools: The engine takes calls of tools and their results among the messages.

    Raises:
        Problem: `Code.BAD_REQUEST` with a sentence naming the field and what it may be.
    """
    if not isinstance(body, Mapping):
        raise _bad("the request must be an object with 'messages'")
    for name in _NOT_SUPPORTED:
        if body.get(name):
            raise _bad(f"'{name}' is not supported by this version")
    schema, ignore_eos = schema_of(body.get("response_format")), _flag(body, "ignore_eos")
    if schema is not None and ignore_eos:
        raise _bad("'ignore_eos' goes on where the JSON of 'response_format' ends; leave one out")
    if body.get("n") not in (None, 1):
        raise _bad("'n' must be 1: a box this size writes one answer a request")
    old = body.get("max_completion_tokens") is None
    limit_name = "max_tokens" if old else "max_completion_tokens"
    return ChatRequest(
        messages=parse_messages(body.get("messages"), asked=asked, tools=tools),
        model=_text(body, "model"),
        max_tokens=_whole(body, limit_name, 1, _TOKENS_MAX),
        temperature=_number(body, "temperature", 0, 5),
        top_p=_number(body, "top_p", 0, 1),
        top_k=_whole(body, "top_k", 0, _TOKENS_MAX),
        min_p=_number(body, "min_p", 0, 1),
        repeat_penalty=_number(body, "repeat_penalty", 0.01, 10),
        presence_penalty=_number(body, "presence_penalty", -2, 2),
        frequency_penalty=_number(body, "frequency_penalty", -2, 2),
        seed=_whole(body, "seed", 0, _SEED_MAX),
        stop=_stops(body.get("stop")),
        ignore_eos=ignore_eos,
        schema=schema,
        # An answer past the model's own end repeats itself sooner or later, and is meant to.
        repetition_detection=_flag(body, "repetition_detection", default=not ignore_eos),
        thinking=choice_in(body),
    )


def _bad(text: str) -> Problem:
    return Problem(Code.BAD_REQUEST, text[0].upper() + text[1:] + ".")


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _bad(f"'{name}' must be a string")


def _flag(body: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise _bad(f"'{name}' must be true or false")


def _number(body: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(f"'{name}' must be a number from {least:g} to {most:g}")
    # Written so that NaN fails too.
    if not least <= value <= most:
        raise _bad(f"'{name}' must be from {least:g} to {most:g}")
    return float(value)


def _whole(body: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad(f"'{name}' must be a whole number from {least} to {most}")
    if not least <= value <= most:
        raise _bad(f"'{name}' must be from {least} to {most}")
    return value


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise _bad("'stop' must be a string or a list of strings")
    if len(stops) > STOPS_MAX:
        raise _bad(f"'stop' may hold at most {STOPS_MAX} strings")
    if any(not 0 < len(stop) <= STOP_CHARACTERS_MAX for stop in stops):
        raise _bad(f"each of 'stop' must have 1 to {STOP_CHARACTERS_MAX} characters")
    return tuple(stops)
