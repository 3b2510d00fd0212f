"""Tries a model's chat template, without its weights. Kind: hands.

``python -m inglenook.engine.worker.examine MODEL`` reads the template from its standard input, and
prints a line.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

from inglenook.engine.orders import ChatMessage, Prefill, Thinking
from inglenook.engine.templatefacts import TemplateFacts, TemplateUnfit, encode
from inglenook.engine.thinking.switch import template_variables
from inglenook.engine.worker.llama import Model, ModelRefused
from inglenook.engine.worker.prompt.arrangement import SystemAs
from inglenook.engine.worker.prompt.jinja import TemplateOptions, TemplateRefused
from inglenook.engine.worker.prompt.prompt import PromptMaker
from inglenook.engine.worker.prompt.template import ChatTemplate
from inglenook.engine.worker.prompt.template_fit import TemplateFit


def main() -> int:
    """Answer the parent; the model's path is the first argument."""
    # The library prints to standard output, too.
    answer = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    answer.write(encode(examine(sys.argv[1], sys.stdin.buffer.read().decode())) + b"\n")
    sys.stderr.flush()
    # The library's own tear-down is slow and can assert; the kernel's is enough.
    os._exit(0)


def examine(path: str, template: str) -> TemplateFacts | TemplateUnfit:
    """Try a template with a model's vocabulary."""
    try:
        model = Model(path, lambda _fraction: True, vocab_only=True)
    except ModelRefused as exc:
        return TemplateUnfit(str(exc))
    try:
        return _facts(model, PromptMaker(model, template))
    except TemplateRefused as exc:
        return TemplateUnfit(str(exc))
    finally:
        model.close()


def _facts(model: Model, prompts: PromptMaker) -> TemplateFacts:
    fitting = prompts.template.fitting
    question, bos = [ChatMessage("user", "Hi")], model.special_text("bos")
    # The defaults of a request.
    options = prompts.options(Prefill(0, tuple(question)))
    prompt = prompts.template.render(question, options).text
    return TemplateFacts(
        system=_system(fitting, "su"),
        late_system=_system(fitting, "suausu"),
        takes_turns=_is_changed(fitting, "uu") or _is_changed(fitting, "au"),
        many_turns=_is_taken(fitting, "uau"),
        parts=fitting.form.parts,
        tools=fitting.supports_tools(),
        date="always" if fitting.dates("su") else "default" if fitting.dates("u") else "never",
        question_tokens=prompts.prompt(question, options).total,
        bos=bos if prompt.startswith(bos) else "",
        thinking=describe_thinking(prompts.template),
    )


def _system(fitting: TemplateFit, shape: str) -> Literal["known", "folded", "refused"]:
    if not _is_taken(fitting, shape):
        return "refused"
    as_they_are = fitting.arrangement(shape).system is SystemAs.THEY_ARE
    return "known" if as_they_are else "folded"


def _is_taken(fitting: TemplateFit, shape: str) -> bool:
    try:
        fitting.arrangement(shape)
    except TemplateRefused:
        return False
    return True


def _is_changed(fitting: TemplateFit, shape: str) -> bool:
    return _is_taken(fitting, shape) and fitting.arrangement(shape).weight > 0


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


if __name__ == "__main__":
    sys.exit(main())
