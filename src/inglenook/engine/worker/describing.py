"""Describes a model's form of thinking in a line for its owner. Kind: hands."""

from __future__ import annotations

from inglenook.engine.orders import ChatMessage, Thinking
from inglenook.engine.thinking.switch import template_variables
from inglenook.engine.worker.prompt.jinja import TemplateOptions, TemplateRefused
from inglenook.engine.worker.prompt.template import ChatTemplate


def describe_thinking(template: ChatTemplate) -> str:
    """Describe the form that was found, and the template's switches for thinking."""
    thoughts = template.thoughts
    if not thoughts.known:
        return f"none that its template or vocabulary knows; {thoughts.form.name} is looked for"
    tags = " (tokens)" if thoughts.signs.tokens else ""
    on, off = _prompt(template, Thinking("on")), _prompt(template, Thinking("off"))
    if on == off:
        how = "its template has no switch: off closes a thought as soon as it begins"
    elif _prompt(template, Thinking()) == off:
        how = "off unless asked for"
    else:
        how = "on unless switched off"
    more = [how]
    if _prompt(template, Thinking("on", "low")) != _prompt(template, Thinking("on", "high")):
        more.append("takes an effort")
    if _prompt(template, Thinking("on", budget_tokens=1234)) != on:
        more.append("takes a budget")
    return f"{thoughts.form.name}{tags}; {', '.join(more)}"


def _prompt(template: ChatTemplate, thinking: Thinking) -> str:
    try:
        options = TemplateOptions(template_variables(template.source, thinking))
        return template.render([ChatMessage("user", "Hi")], options).text
    except TemplateRefused as exc:
        return exc.why
