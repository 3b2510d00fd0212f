"""The model's chat template, and which text of a prompt is the template's own. Kind: hands.

`jinja` runs it, and `template_fit` finds what it accepts; no word of a message is lost silently.

Only text that the template writes may act. See `markers` for how messages are kept from acting, and
docs/decisions/0009-outside-text-is-never-structure.md for the alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inglenook.engine.events import Adjustment
from inglenook.engine.orders import ChatMessage
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.jinja import (
    PLAIN,
    JinjaTemplate,
    TemplateOptions,
    TemplateRefused,
)
from inglenook.engine.worker.prompt.losses import loses_words
from inglenook.engine.worker.prompt.markers import Markers, StandIns, unused
from inglenook.engine.worker.prompt.pieces import is_one_piece
from inglenook.engine.worker.prompt.template_fit import TemplateFit


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template made of a conversation.

    Attributes:
        text: The prompt.
        cuts: Positions at which it must be cut, so that only the template's text acts.
        turns: Positions at which special tokens begin; only if it may be cut there.
        parser: Parser of the answer, which may begin inside a thought that the template opened.
        adjustments: Changes to the conversation, so that nothing of it is lost.
    """

    text: str
    cuts: Sequence[int]
    turns: Sequence[int]
    parser: Parser
    adjustments: tuple[Adjustment, ...] = ()


class ChatTemplate:
    """A model's chat template; several threads may use it at once.

    Attributes:
        fitting: What it accepts.
        thoughts: The form of the model's thoughts.
    """

    def __init__(self, model: Model, template: str) -> None:
        """Compile it, and try it.

        Raises:
            TemplateRefused: If it is not valid Jinja, or accepts no question.
        """
        self._adds_bos = model.adds_bos
        self._bos = model.special_text("bos")
        self._jinja = JinjaTemplate(template, bos=self._bos, eos=model.special_text("eos"))
        self.fitting = TemplateFit(self._jinja)
        self.thoughts = ThinkFormat(model, template)
        special = model.tokenizer.special_tokens
        self._markers = Markers(
            (token.text for token in special if token.control),
            (token.text for token in special if not token.control),
            template,
            self.thoughts.tags,
        )

    @property
    def source(self) -> str:
        """Its text."""
        return self._jinja.source

    def render(self, messages: Sequence[ChatMessage], options: TemplateOptions = PLAIN) -> Rendered:
        """Make a prompt.

        Args:
            messages: The conversation; its last message is the user's.
            options: Its input besides the messages.

        Raises:
            TemplateRefused: If the template accepts the conversation in no arrangement.
        """
        fitted = self.fitting.fit(messages, options)
        rendered = self._settle(*self._run(fitted.messages, options))
        adjustments = fitted.adjustments
        if loses_words(messages, rendered.text, self._markers.thinking):
            adjustments = (*adjustments, Adjustment.WORDS_LEFT_OUT)
        return replace(rendered, adjustments=adjustments) if adjustments else rendered

    def render_typed(
        self, messages: Sequence[ChatMessage], options: TemplateOptions = PLAIN
    ) -> tuple[Rendered, Rendered]:
        """A prompt as it is, and with another letter at the end; the template runs once.

        Raises:
            TemplateRefused: As `render`.
        """
        messages = self.fitting.fit(messages, options).messages
        cursor = next(unused([*(message.content for message in messages), self._jinja.source]))
        text, stand_ins = self._run(messages, options, cursor)
        if text.count(cursor) == 1:
            now, later = text.replace(cursor, ""), text.replace(cursor, "a")
            return self._settle(now, stand_ins), self._settle(later, stand_ins)
        # The template changed or removed it.
        return (
            self._settle(*self._run(messages, options)),
            self._settle(*self._run(messages, options, "a")),
        )

    def _run(
        self, messages: Sequence[ChatMessage], options: TemplateOptions, typed: str = ""
    ) -> tuple[str, StandIns | None]:
        """Run the template, so that its own text can be told from the messages.

        Args:
            messages: The conversation.
            options: Its input besides the messages.
            typed: Appended to the last message; it must not act.

        Returns:
            The prompt, and the stand-ins in it for brackets that are not the template's.
        """
        acting = [self._markers.may_act(message.content) for message in messages]
        *earlier, last = messages
        messages = [*earlier, ChatMessage(last.role, last.content + typed)]
        text, stand_ins = self._run_hiding(acting, messages, options)
        others = [m.content for m, acts in zip(messages, acting, strict=True) if not acts]
        if self._markers.are_whole(others, text):
            return text, stand_ins
        # The template has split a message; what it makes of the parts could act.
        return self._run_hiding([True] * len(messages), messages, options)

    def _run_hiding(
        self, acting: Sequence[bool], messages: Sequence[ChatMessage], options: TemplateOptions
    ) -> tuple[str, StandIns | None]:
        """Run the template, with stand-ins in the messages that could act."""
        if not any(acting):
            return self._write(messages, options), None
        contents = [message.content for message in messages]
        stand_ins = StandIns(self._markers.brackets, [*contents, self._jinja.source])
        hidden = [
            ChatMessage(message.role, stand_ins.hide(message.content)) if acts else message
            for message, acts in zip(messages, acting, strict=True)
        ]
        return self._without_thoughts(messages, hidden, stand_ins, options), stand_ins

    def _settle(self, text: str, stand_ins: StandIns | None) -> Rendered:
        """Restore the brackets, and find the cuts, the turns and the parser."""
        if self._adds_bos and not text.startswith(self._bos):
            text = self._bos + text
        # Before the brackets are restored: text of a message opens no thought.
        parser = self.thoughts.parser(text)
        turns = () if is_one_piece(text) else tuple(self._markers.turns(text))
        if stand_ins is None:
            return Rendered(text, (), turns, parser)
        text, outside = stand_ins.show(text)
        return Rendered(text, self._markers.cuts(text, outside), turns, parser)

    def _without_thoughts(
        self,
        messages: Sequence[ChatMessage],
        hidden: Sequence[ChatMessage],
        stand_ins: StandIns,
        options: TemplateOptions,
    ) -> str:
        """The prompt of hidden messages; without earlier thoughts, if the template removes them.

        For that it must see their tags. It has removed or replaced them if the same texts act in
        both prompts.
        """
        text = self._write(hidden, options)
        tags = self._markers.thinking
        told = [
            ChatMessage(message.role, stand_ins.hide(message.content, tags))
            if message.role == "assistant" and any(tag in message.content for tag in tags)
            else other
            for message, other in zip(messages, hidden, strict=True)
        ]
        if told == list(hidden):
            return text
        try:
            other_text = self._write(told, options)
        except TemplateRefused:
            # It refuses such tags (gpt-oss), but accepted them as text that does not act.
            return text
        same = self._markers.acting(other_text) == self._markers.acting(text)
        return other_text if same else text

    def _write(self, messages: Sequence[ChatMessage], options: TemplateOptions) -> str:
        return self._jinja.render(messages, options, self.fitting.form)
