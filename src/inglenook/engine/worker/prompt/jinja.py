"""Runs a chat template: messages in, text out. Kind: hands.

Templates come from downloaded files. They run in llama-cpp-python's immutable Jinja sandbox, and in
this process, which may hang or die without affecting the daemon.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from inglenook.common.errors import EngineError
from inglenook.engine.orders import ChatMessage

# A template can raise anything a Python expression can, beside Jinja's own errors and the
# ValueError of its `raise_exception`; and it can exceed the limits of Python's compiler.
_TEMPLATE_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

#: Bound of a template's error message: it may quote itself, or the conversation.
_WHY_CHARACTERS_MAX = 200

#: As llama.cpp's own server writes the day for templates that ask for ``date_string``.
_DATE_STRING: Final = "%d %b %Y"


class TemplateRefused(EngineError):
    """The template refuses this conversation, or is invalid; ``why`` is its own message."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the model's chat template does not work: {self.why}"


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Input of a template besides the messages.

    Attributes:
        variables: By the names that templates use, such as ``enable_thinking``.
        moment_s: The present time for the template, seconds since 1970; None is the clock's.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    moment_s: float | None = None


#: Messages alone.
PLAIN: Final = TemplateOptions()


ToolsAs = Literal["none", "empty", "undefined"]


@dataclass(frozen=True, slots=True)
class TemplateForm:
    """The form in which a template accepts its input.

    Attributes:
        parts: A message's content as a list of parts, as templates of vision models may want it.
        tools: Its ``tools`` when there are none: None, as in transformers, an empty list, or
            undefined.
    """

    parts: bool = False
    tools: ToolsAs = "none"


class JinjaTemplate:
    """A compiled chat template; several threads may use it at once.

    Attributes:
        source: Its text.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile it; ``bos`` and ``eos`` are the texts of these tokens.

        Raises:
            TemplateRefused: If it is not valid Jinja.
        """
        self.source = source
        try:
            self._formatter = Jinja2ChatFormatter(template=source, bos_token=bos, eos_token=eos)
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc

    def render(
        self,
        messages: Sequence[ChatMessage],
        options: TemplateOptions = PLAIN,
        form: TemplateForm = TemplateForm(),
    ) -> str:
        """Run it.

        Raises:
            TemplateRefused: If it raises, as many do when roles do not alternate.
        """
        return self.render_with_tools(messages, _tools(form), options, form)

    def render_with_tools(
        self,
        messages: Sequence[ChatMessage],
        tools: Any,
        options: TemplateOptions,
        form: TemplateForm,
    ) -> str:
        """As `render`, with these tools in OpenAI's form.

        Raises:
            TemplateRefused: As `render`.
        """
        moment = _local_time(options.moment_s)
        # A copy, as threads share the formatter, which reads the clock by itself.
        formatter = copy.copy(self._formatter)
        vars(formatter)["strftime_now"] = moment.strftime
        variables = {"date_string": moment.strftime(_DATE_STRING), **options.variables}
        plain: list[Any] = [
            {"role": message.role, "content": _content(message.content, form)}
            for message in messages
        ]
        try:
            return str(formatter(messages=plain, tools=tools, **variables).prompt)
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc


def _local_time(moment_s: float | None) -> datetime:
    try:
        moment = datetime.now(UTC) if moment_s is None else datetime.fromtimestamp(moment_s, UTC)
    except (OverflowError, ValueError, OSError):
        # Out of the calendar, as from a damaged file: the present will do.
        moment = datetime.now(UTC)
    # Without a zone, as templates expect it.
    return moment.astimezone().replace(tzinfo=None)


def _content(text: str, form: TemplateForm) -> str | list[dict[str, str]]:
    return [{"type": "text", "text": text}] if form.parts else text


def _tools(form: TemplateForm) -> Any:
    if form.tools == "undefined":
        return jinja2.Undefined(name="tools")
    return None if form.tools == "none" else []


def _refused(fault: BaseException) -> TemplateRefused:
    lines = str(fault).splitlines()
    why = (lines[0] if lines else type(fault).__name__)[:_WHY_CHARACTERS_MAX]
    # More text follows it; an ellipsis stays.
    return TemplateRefused(why if why.endswith("..") else why.removesuffix("."))
