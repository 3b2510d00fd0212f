"""Channels of a response, and what a request may ask of thinking. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from inglenook.common.errors import Code, Problem


class Channel(StrEnum):
    """Which part of a response a piece of text belongs to."""

    ANSWER = "answer"
    THINKING = "thinking"


#: Far beyond any context.
BUDGET_TOKENS_MAX: Final = 2**20

#: Templates write it into the prompt.
_EFFORT: Final = re.compile(r"[a-z_]{1,16}")
_NO_EFFORT: Final = "none"

_TYPES: Final[dict[str, Literal["on", "off"] | None]] = {
    "enabled": "on",
    "disabled": "off",
    "adaptive": None,
}

#: By which names ``chat_template_kwargs`` may speak of it; all else is the template's own matter.
_FLAGS: Final = ("enable_thinking", "thinking")
_KNOWN_KWARGS: Final = (*_FLAGS, "reasoning_effort", "thinking_budget")


@dataclass(frozen=True, slots=True)
class ThinkingChoice:
    """Whether, and how much, a model is to think.

    Attributes:
        mode: None leaves it to the device, then to the settings, and at last to the model.
        effort: A word that some models know, such as ``low``; None likewise.
        budget_tokens: Most tokens of thought; None likewise, and at last is no bound.
    """

    mode: Literal["on", "off"] | None = None
    effort: str | None = None
    budget_tokens: int | None = None

    def or_else(self, other: ThinkingChoice) -> ThinkingChoice:
        """The same, with what is left open as ``other`` has it."""
        budget_tokens = self.budget_tokens
        return ThinkingChoice(
            # An effort or a budget implies thinking.
            self.mode if self.mode or self.effort or budget_tokens else other.mode,
            self.effort or other.effort,
            other.budget_tokens if budget_tokens is None else budget_tokens,
        )


def choice_of(text: str) -> ThinkingChoice:
    """What ``auto``, ``on``, ``off`` or a number of tokens means, in settings and for a device."""
    match text:
        case "auto":
            return ThinkingChoice()
        case "on" | "off":
            return ThinkingChoice(text)
        case _:
            return ThinkingChoice(budget_tokens=int(text))


def choice_in(body: Mapping[str, Any]) -> ThinkingChoice:
    """Find what a request asks for, in the fields by which OpenAI's, Anthropic's and other clients
    say it.

    Raises:
        Problem: `Code.BAD_REQUEST` with a sentence naming the field.
    """  # noqa: D205 one sentence
    said: dict[str, Literal["on", "off"]] = {}
    effort = _effort(body.get("reasoning_effort"), "reasoning_effort", said)
    budget_tokens = _thinking(body.get("thinking"), said)
    _flag(body.get("enable_thinking"), "enable_thinking", said)
    kwargs = body.get("chat_template_kwargs")
    if kwargs is not None:
        where = "chat_template_kwargs"
        if not isinstance(kwargs, Mapping):
            raise _bad(f"'{where}' must be an object")
        if unknown := next((str(name) for name in kwargs if name not in _KNOWN_KWARGS), None):
            raise _bad(f"'{where}' may hold {', '.join(_KNOWN_KWARGS)}; not '{unknown[:50]}'")
        for name in _FLAGS:
            _flag(kwargs.get(name), f"{where}.{name}", said)
        more = _effort(kwargs.get("reasoning_effort"), f"{where}.reasoning_effort", said)
        effort = more if effort is None else effort
        bound = _budget(kwargs.get("thinking_budget"), f"{where}.thinking_budget")
        budget_tokens = bound if budget_tokens is None else budget_tokens
    if len(set(said.values())) > 1:
        one = next(iter(said))
        other = next(name for name in said if said[name] != said[one])
        raise _bad(f"'{one}' and '{other}' say different things about thinking")
    mode = next(iter(said.values()), None)
    return ThinkingChoice(mode, effort, budget_tokens)


def _thinking(value: Any, said: dict[str, Literal["on", "off"]]) -> int | None:
    if not isinstance(value, Mapping):
        if not isinstance(value, bool | None):
            raise _bad("'thinking' must be true or false, or an object with a 'type'")
        _flag(value, "thinking", said)
        return None
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _bad(f"'thinking.type' must be one of {', '.join(_TYPES)}")
    if mode := _TYPES[kind]:
        said["thinking.type"] = mode
    return _budget(value.get("budget_tokens"), "thinking.budget_tokens")


def _flag(value: Any, name: str, said: dict[str, Literal["on", "off"]]) -> None:
    if value is None:
        return
    if not isinstance(value, bool):
        raise _bad(f"'{name}' must be true or false")
    said[name] = "on" if value else "off"


def _effort(value: Any, name: str, said: dict[str, Literal["on", "off"]]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _EFFORT.fullmatch(value):
        raise _bad(f"'{name}' must be a word such as none, low, medium or high")
    if value == _NO_EFFORT:
        said[name] = "off"
        return None
    return value


def _budget(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad(f"'{name}' must be a whole number from 0 to {BUDGET_TOKENS_MAX}")
    if not 0 <= value <= BUDGET_TOKENS_MAX:
        raise _bad(f"'{name}' must be from 0 to {BUDGET_TOKENS_MAX}")
    return value


def _bad(text: str) -> Problem:
    return Problem(Code.BAD_REQUEST, f"{text[0].upper()}{text[1:]}.")
