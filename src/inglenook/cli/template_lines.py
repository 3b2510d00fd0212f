"""The facts of a model's chat template, as lines for its owner."""

from __future__ import annotations

from collections.abc import Iterator

from inglenook.engine.templatefacts import TemplateFacts

_SYSTEM = {
    "known": "known to the chat template",
    "folded": "unknown to the chat template: its text is put before the first question",
    "refused": "refused by the chat template",
}
_LATE = {
    "known": "later ones too",
    "folded": "later ones are put before the next question",
    "refused": "later ones are refused",
}
_DATE = {
    "never": "not in the prompt",
    "default": "in the prompt if there is no system message; that of a conversation's first turn",
    "always": "in the prompt; that of a conversation's first turn",
}


def template_lines(facts: TemplateFacts) -> Iterator[tuple[str, str]]:
    """The facts as labels and texts."""
    system = _SYSTEM[facts.system]
    if facts.late_system != facts.system:
        system += f"; {_LATE[facts.late_system]}"
    yield "system message", system
    if facts.thinking:
        yield "thinking", facts.thinking
    yield "tools", "known to the chat template" if facts.tools else "unknown to the chat template"
    yield "turns", _turns(facts)
    yield "date", _DATE[facts.date]
    yield "default prompt", f"{facts.question_tokens} tokens for a question of one word"
    yield "begins with", facts.bos or "nothing"
    if facts.parts:
        yield "messages", "as lists of parts, as the chat template prints nothing of a text"


def template_summary(facts: TemplateFacts) -> str:
    """The two facts that matter most, in one line."""
    lines = dict(template_lines(facts))
    return f"system message: {lines['system message']}; turns: {lines['turns']}"


def _turns(facts: TemplateFacts) -> str:
    if not facts.many_turns:
        return "one question only: the chat template leaves out earlier turns"
    if facts.takes_turns:
        return "questions and answers must alternate: neighbours are merged"
    return "in any order"
