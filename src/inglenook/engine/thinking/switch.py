"""What a chat template is told of whether and how much to think. Kind: rules.

There is no one name for it. A template is given every name it may ask for; what it does not ask for
does nothing.
"""

from __future__ import annotations

import re
from typing import Final

from inglenook.engine.orders import Thinking

#: How templates call the same choice: a flag.
_FLAGS: Final = ("enable_thinking", "thinking", "reasoning")

#: Or a word; how they say yes and no.
_WORDS: Final = {"thinking_mode": ("enabled", "disabled"), "thinking_option": ("on", "off")}

#: How much, as a word.
_EFFORTS: Final = ("reasoning_effort", "thinking_effort", "reasoning_strength")

#: How much, in tokens.
_BUDGETS: Final = ("thinking_budget",)

#: No effort at all, as some templates say it; or the least that all know, gpt-oss's among them.
_NO_EFFORT: Final = ("no_think", "none")
_LEAST_EFFORT: Final = "low"

#: What is meant by "on" where a template does not think unless it is told how much.
_SOME_EFFORT: Final = "high"


def template_variables(template: str, thinking: Thinking) -> dict[str, object]:
    """Find what to give a template beside the messages.

    Args:
        template: Its source; some words are known by some templates only.
        thinking: What was asked for. Nothing asks for what the model does by itself; as in
            llama.cpp's own server, that is to think where a template asks ``enable_thinking``.
    """
    variables: dict[str, object] = {}
    effort = thinking.effort
    match thinking.mode:
        case "off":
            variables |= dict.fromkeys(_FLAGS, False)
            variables |= {name: no for name, (_yes, no) in _WORDS.items()}
            variables |= dict.fromkeys(_BUDGETS, 0)
            effort = next((word for word in _NO_EFFORT if _knows(template, word)), _LEAST_EFFORT)
        case "on":
            variables |= dict.fromkeys(_FLAGS, True)
            variables |= {name: yes for name, (yes, _no) in _WORDS.items()}
            if effort is None and _knows(template, _NO_EFFORT[0]):
                effort = _SOME_EFFORT
        case "auto":
            variables["enable_thinking"] = True
    if thinking.budget_tokens is not None:
        variables |= dict.fromkeys(_BUDGETS, thinking.budget_tokens)
    if effort is not None:
        variables |= dict.fromkeys(_EFFORTS, effort)
    return variables


def _knows(template: str, effort: str) -> bool:
    """Whether a word stands in a template as a value."""
    return bool(re.search(rf"""["']{effort}["']""", template))
