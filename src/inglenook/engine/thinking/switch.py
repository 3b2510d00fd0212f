"""Variables by which a chat template switches thinking on and off. Kind: rules.

Templates have no common name for it. Each is given all known names, and ignores those that it does
not use.
"""

from __future__ import annotations

import re
from typing import Final

from inglenook.engine.orders import Thinking

#: Names of the switch as a flag.
_FLAGS: Final = ("enable_thinking", "thinking", "reasoning")

#: Names of the switch as a word, with the words for on and off.
_WORDS: Final = {"thinking_mode": ("enabled", "disabled"), "thinking_option": ("on", "off")}

#: Names of the effort, a word.
_EFFORTS: Final = ("reasoning_effort", "thinking_effort", "reasoning_strength")

#: Names of the budget, in tokens.
_BUDGETS: Final = ("thinking_budget",)

#: Words for no effort in some templates; and the least effort that all know, such as gpt-oss's.
_NO_EFFORT: Final = ("no_think", "none")
_LEAST_EFFORT: Final = "low"

#: The effort for "on" in templates that do not think without one.
_SOME_EFFORT: Final = "high"


def template_variables(template: str, thinking: Thinking) -> dict[str, object]:
    """The variables for a template, beside the messages.

    Args:
        template: Its source; some words are known by some templates only.
        thinking: What the request asks for. The default is the model's own; as in llama.cpp's own
            server, that is to think where a template uses ``enable_thinking``.
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
    """Whether a template has a word as a value."""
    return bool(re.search(rf"""["']{effort}["']""", template))
