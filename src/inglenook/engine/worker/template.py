"""The model's own chat template, and what of a prompt it wrote itself. Kind: hands.

The template is a program out of a downloaded file. It runs in llama-cpp-python's immutable Jinja
sandbox, and in this process, which may hang or die without taking the daemon along.

Only what the template writes may act. See `markers` for how what people say is kept from it, and
docs/decisions/0009-outside-text-is-never-structure.md for what else was thought of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.markers import THINK_OPEN, Markers, StandIns, unused
from inglenook.engine.worker.pieces import is_one_piece
from inglenook.errors import EngineError

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


class TemplateRefused(EngineError):
    """The template would not take this conversation, or is none; ``why`` is its own words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the model's chat template does not work: {self.why}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template made of a conversation.

    Attributes:
        text: The prompt.
        cuts: Where it must be cut, so that nothing acts that is not the template's.
        turns: Where what acts begins; only of a prompt that may be cut there.
        thinking: It ends inside a ``<think>`` that the template opened.
    """

    text: str
    cuts: Sequence[int]
    turns: Sequence[int]
    thinking: bool


class ChatTemplate:
    """A model's chat template; several threads may use it at once."""

    def __init__(self, model: Model, template: str) -> None:
        """Compile it.

        Raises:
            TemplateRefused: If it is not valid Jinja.
        """
        self._template = template
        self._adds_bos = model.adds_bos
        self._bos = model.special_text("bos")
        try:
            self._formatter = Jinja2ChatFormatter(
                template=template, bos_token=self._bos, eos_token=model.special_text("eos")
            )
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc
        special = model.tokenizer.special_tokens
        self._markers = Markers(
            (token.text for token in special if token.control),
            (token.text for token in special if not token.control),
            template,
        )

    def render(self, messages: Sequence[ChatMessage]) -> Rendered:
        """Make a prompt.

        Raises:
            TemplateRefused: If the template raises, as many do when roles do not alternate.
        """
        return self._settle(*self._run(messages))

    def render_typed(self, messages: Sequence[ChatMessage]) -> tuple[Rendered, Rendered]:
        """A prompt as it is, and as it would be with a letter more; the template runs once.

        Raises:
            TemplateRefused: As `render`.
        """
        cursor = next(unused([*(message.content for message in messages), self._template]))
        text, stand_ins = self._run(messages, cursor)
        if text.count(cursor) == 1:
            now, later = text.replace(cursor, ""), text.replace(cursor, "a")
            return self._settle(now, stand_ins), self._settle(later, stand_ins)
        # The template did something with it.
        return self._settle(*self._run(messages)), self._settle(*self._run(messages, "a"))

    def _run(self, messages: Sequence[ChatMessage], typed: str = "") -> tuple[str, StandIns | None]:
        """Run the template, so that it can be told what of the prompt it wrote.

        Args:
            messages: The conversation.
            typed: Put behind the last message; nothing of it may act.

        Returns:
            The prompt, and what stands in it for brackets that are not the template's.
        """
        acting = [self._markers.may_act(message.content) for message in messages]
        *earlier, last = messages
        messages = [*earlier, ChatMessage(last.role, last.content + typed)]
        text, stand_ins = self._run_hiding(acting, messages)
        others = [m.content for m, acts in zip(messages, acting, strict=True) if not acts]
        if self._markers.are_whole(others, text):
            return text, stand_ins
        # The template has taken one apart; what it put together again could be anything.
        return self._run_hiding([True] * len(messages), messages)

    def _run_hiding(
        self, acting: Sequence[bool], messages: Sequence[ChatMessage]
    ) -> tuple[str, StandIns | None]:
        """Run the template, with stand-ins in those messages that could act."""
        if not any(acting):
            return self._write(messages), None
        contents = [message.content for message in messages]
        stand_ins = StandIns(self._markers.brackets, [*contents, self._template])
        hidden = [
            ChatMessage(message.role, stand_ins.hide(message.content)) if acts else message
            for message, acts in zip(messages, acting, strict=True)
        ]
        return self._without_thoughts(messages, hidden, stand_ins), stand_ins

    def _settle(self, text: str, stand_ins: StandIns | None) -> Rendered:
        """See what acts in what the template wrote."""
        if self._adds_bos and not text.startswith(self._bos):
            text = self._bos + text
        # Only one right at the end was opened by the template; others are somebody's words.
        thinking = text.rstrip().endswith(THINK_OPEN)
        turns = () if is_one_piece(text) else tuple(self._markers.turns(text))
        if stand_ins is None:
            return Rendered(text, (), turns, thinking)
        text, outside = stand_ins.show(text)
        return Rendered(text, self._markers.cuts(text, outside), turns, thinking)

    def _without_thoughts(
        self,
        messages: Sequence[ChatMessage],
        hidden: Sequence[ChatMessage],
        stand_ins: StandIns,
    ) -> str:
        """The prompt of what is hidden; without earlier thoughts, if the template takes them out.

        For that it must see their tags. It has taken them out, or put its own in their place, if
        what acts is the same then.
        """
        text = self._write(hidden)
        tags = self._markers.thinking
        told = [
            ChatMessage(message.role, stand_ins.hide(message.content, tags))
            if message.role == "assistant" and any(tag in message.content for tag in tags)
            else other
            for message, other in zip(messages, hidden, strict=True)
        ]
        if told == list(hidden):
            return text
        other_text = self._write(told)
        same = self._markers.acting(other_text) == self._markers.acting(text)
        return other_text if same else text

    def _write(self, messages: Iterable[ChatMessage]) -> str:
        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(self._formatter(messages=plain).prompt)
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc


def _refused(fault: BaseException) -> TemplateRefused:
    lines = str(fault).splitlines()
    return TemplateRefused((lines[0] if lines else type(fault).__name__)[:_WHY_CHARACTERS_MAX])
