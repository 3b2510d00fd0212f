"""A chat template as the program that it is: messages in, text out. Kind: hands.

It comes out of a downloaded file. It runs in llama-cpp-python's immutable Jinja sandbox, and in
this process, which may hang or die without taking the daemon along.
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
# ValueError of its `raise_exception`; and it can be too much for Python's compiler.
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

#: Of what a template says, so much is passed on: it may quote itself, or the conversation.
_WHY_CHARACTERS_MAX = 200

#: As llama.cpp's own server writes the day for templates that ask for ``date_string``.
_DATE_STRING: Final = "%d %b %Y"


class TemplateRefused(EngineError):
    """The template would not take this conversation, or is none; ``why`` is its own words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the model's chat template does not work: {self.why}"


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What a request says to the template besides its messages.

    Attributes:
        variables: By the names that templates know, such as ``enable_thinking``.
        moment_s: What time it is there, seconds since 1970; None is the present.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    moment_s: float | None = None


#: Nothing but messages.
PLAIN: Final = TemplateOptions()


ToolsAs = Literal["none", "empty", "undefined"]


@dataclass(frozen=True, slots=True)
class TemplateForm:
    """How a template wants to be given what it is given.

    Attributes:
        parts: A message's content as a list of parts, as templates of vision models may want it.
        tools: What it is told of tools: as transformers does if there are none, an empty list, or
            nothing at all.
    """

    parts: bool = False
    tools: ToolsAs = "none"


class JinjaTemplate:
    """A compiled chat template; several threads may use it at once.

    Attributes:
        source: Its text.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile it; ``bos`` and ``eos`` are what it may print for them.

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
        """As `write`, with these tools in OpenAI's form.

        Raises:
            TemplateRefused: As `write`.
        """
        moment = _local_time(options.moment_s)
        # One of its own: the formatter reads the clock by itself, and threads share it.
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
        # No moment that a calendar has, as from a damaged file: today is as good.
        moment = datetime.now(UTC)
    # Without its zone, as templates are used to have it.
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
    # More is said behind it; an ellipsis stays.
    return TemplateRefused(why if why.endswith("..") else why.removesuffix("."))
