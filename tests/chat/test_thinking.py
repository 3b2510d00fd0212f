"""What may be asked of a model's thinking, by whichever of the names that clients use."""

from __future__ import annotations

from typing import Any

import pytest

from inglenook.chat.request import parse_chat_request
from inglenook.chat.thinking import ThinkingChoice, choice_in, choice_of
from inglenook.common.errors import Code, Problem

ON, OFF = ThinkingChoice("on"), ThinkingChoice("off")


@pytest.mark.parametrize(
    ("body", "choice"),
    [
        ({}, ThinkingChoice()),
        ({"thinking": None, "reasoning_effort": None}, ThinkingChoice()),
        ({"thinking": {"type": "enabled"}}, ON),
        ({"thinking": {"type": "disabled"}}, OFF),
        ({"thinking": {"type": "adaptive"}}, ThinkingChoice()),
        ({"thinking": {"type": "enabled", "budget_tokens": 512}}, ThinkingChoice("on", None, 512)),
        ({"thinking": True}, ON),
        ({"enable_thinking": False}, OFF),
        ({"reasoning_effort": "low"}, ThinkingChoice(None, "low")),
        ({"reasoning_effort": "none"}, OFF),
        ({"chat_template_kwargs": {"enable_thinking": False}}, OFF),
        ({"chat_template_kwargs": {"thinking": True}}, ON),
        (
            {"chat_template_kwargs": {"reasoning_effort": "high", "thinking_budget": 9}},
            ThinkingChoice(None, "high", 9),
        ),
        ({"thinking": True, "enable_thinking": True, "chat_template_kwargs": {}}, ON),
    ],
)
def test_all_names_come_to_the_same_choice(body: dict[str, Any], choice: ThinkingChoice) -> None:
    """Those of OpenAI, Anthropic, vLLM and llama.cpp's own server."""
    assert choice_in(body) == choice
    asked = {"messages": [{"role": "user", "content": "Why?"}], **body}
    assert parse_chat_request(asked).thinking == choice


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"thinking": "yes"}, "'thinking' must be true or false, or an object"),
        ({"thinking": {"type": "maybe"}}, "'thinking.type' must be one of enabled, disabled"),
        ({"thinking": {}}, "'thinking.type' must be one of"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "'thinking.budget_tokens' must"),
        ({"thinking": {"type": "enabled", "budget_tokens": True}}, "must be a whole number"),
        ({"enable_thinking": 1}, "'enable_thinking' must be true or false"),
        ({"reasoning_effort": 3}, "'reasoning_effort' must be a word"),
        ({"reasoning_effort": "<|end|>"}, "'reasoning_effort' must be a word"),
        ({"chat_template_kwargs": []}, "'chat_template_kwargs' must be an object"),
        ({"chat_template_kwargs": {"model_identity": "x"}}, "not 'model_identity'"),
        ({"chat_template_kwargs": {"thinking": "x"}}, "'chat_template_kwargs.thinking' must be"),
        ({"thinking": True, "reasoning_effort": "none"}, "say different things about thinking"),
        (
            {"enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}},
            "say different things about thinking",
        ),
        (
            {
                "thinking": True,
                "enable_thinking": True,
                "chat_template_kwargs": {"thinking": False},
            },
            "'thinking' and 'chat_template_kwargs.thinking' say different things",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(body: dict[str, Any], why: str) -> None:
    """Words would stand in the prompt, so they are checked; and a contradiction helps nobody."""
    with pytest.raises(Problem) as refused:
        choice_in(body)
    assert refused.value.code is Code.BAD_REQUEST
    assert why in refused.value.text


@pytest.mark.parametrize(
    ("first", "then", "choice"),
    [
        (ThinkingChoice(), OFF, OFF),
        (ON, OFF, ON),
        (OFF, ON, OFF),
        (ThinkingChoice(), ThinkingChoice(), ThinkingChoice()),
        (ThinkingChoice(None, "low"), OFF, ThinkingChoice(None, "low")),
        (choice_of("500"), OFF, ThinkingChoice(None, None, 500)),
        (ON, ThinkingChoice(budget_tokens=512), ThinkingChoice("on", None, 512)),
        (ThinkingChoice("on", None, 0), choice_of("9"), ThinkingChoice("on", None, 0)),
    ],
)
def test_what_is_left_open_is_asked_further(
    first: ThinkingChoice, then: ThinkingChoice, choice: ThinkingChoice
) -> None:
    """A request before its device, and that before the settings."""
    assert first.or_else(then) == choice


def test_settings_and_devices_say_it_in_a_word() -> None:
    """Or as a number of tokens."""
    words = ("auto", "on", "off", "1024")
    expected = [ThinkingChoice(), ON, OFF, ThinkingChoice(budget_tokens=1024)]
    assert [choice_of(word) for word in words] == expected
