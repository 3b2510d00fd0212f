"""Finds what a chat template accepts, with short conversations of marked words. Kind: hands.

A template may refuse a conversation, or silently leave a part of it out. So each shape of
conversation is tried once: as it is, then in arrangements with more and more changes, until every
marked word is in the prompt. The real messages play no part in that, so a conversation is arranged
in the same way in all its turns, and its prompt keeps its prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Final

import msgspec

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.prompt.arrangement import (
    ARRANGEMENTS,
    Arranged,
    Arrangement,
    arranged,
    is_empty,
)
from inglenook.engine.worker.prompt.jinja import (
    PLAIN,
    JinjaTemplate,
    TemplateForm,
    TemplateOptions,
    TemplateRefused,
    ToolsAs,
)

#: The shape of a conversation: a letter for each message, a capital for one without content.
_ROLES: Final = {"s": "system", "u": "user", "a": "assistant"}
_LETTERS: Final = {role: letter for letter, role in _ROLES.items()}

#: Two turns of question and answer stand for any number.
_MANY_TURNS: Final = re.compile("(?:au){3,}")
_TURNS: Final = "auau"

#: Shapes with which a template's form is found.
_COMMON: Final = ("u", "uau", "su", "suau")
_TOOLS: Final[tuple[ToolsAs, ...]] = ("none", "empty", "undefined")
_FORMS: Final = [TemplateForm(parts, tools) for parts, tools in product((False, True), _TOOLS)]

#: The ``repr`` of a part, for which no model was trained.
_SHOWN_PART: Final = "{'type': 'text'"

_LEFT_OUT: Final = "it leaves out a part of what was said, however that is put"

#: Moments whose dates have nothing in common.
_MOMENTS_S: Final = (981_173_106.0, 1_353_594_752.0)

#: Number of shapes that are cached; a household has a handful.
_KEPT: Final = 256


class TemplateFit:
    """What one template accepts; several threads may use it at once.

    Attributes:
        form: The form in which it is given messages.
        writes_date: It writes the date into prompts, or into those without a system message.
    """

    def __init__(self, template: JinjaTemplate) -> None:
        """Try the template.

        Raises:
            TemplateRefused: If it does not accept a single question, or leaves its words out.
        """
        self._template = template
        self._words = _words_for(template.source)
        self._find = lru_cache(_KEPT)(self._find_arrangement)
        self.form = self._find_form()
        if not self._is_kept("u", self.form):
            # With its own message, if it raises.
            template.render(self._marked("u"), PLAIN, self.form)
            raise TemplateRefused("it leaves out what is asked")
        self.writes_date = self.dates("u") or self.dates("su")

    def fit(self, messages: Sequence[ChatMessage], options: TemplateOptions = PLAIN) -> Arranged:
        """Arrange a conversation so that the template accepts all of it; nearly always as it is.

        Args:
            messages: The last is the user's, and may still be empty.
            options: The template's input besides the messages.

        Raises:
            TemplateRefused: If it accepts it in no arrangement.
        """
        arrangement = self.arrangement(_shape(messages), options)
        return arranged(messages, arrangement) if arrangement.weight else Arranged(messages)

    def arrangement(self, shape: str, options: TemplateOptions = PLAIN) -> Arrangement:
        """The arrangement of conversations of a shape, such as ``suau``.

        Raises:
            TemplateRefused: As `fit`.
        """
        found = self._find(_MANY_TURNS.sub(_TURNS, shape), _key(options))
        if isinstance(found, str):
            raise TemplateRefused(found)
        return found

    def dates(self, shape: str) -> bool:
        """Whether the prompt of a conversation of that shape differs from day to day."""
        try:
            messages = arranged(self._marked(shape), self.arrangement(shape)).messages
            prompts = {
                self._template.render(messages, TemplateOptions(moment_s=moment_s), self.form)
                for moment_s in _MOMENTS_S
            }
        except TemplateRefused:
            return False
        return len(prompts) > 1

    def supports_tools(self) -> bool:
        """Whether it writes the tools it is given into the prompt."""
        words = _words(self._words)
        name, description = next(words), next(words)
        parameters = {"type": "object", "properties": {}, "required": []}
        function = {"name": name, "description": description, "parameters": parameters}
        tools = [{"type": "function", "function": function}]
        options = [ChatMessage("user", next(words))]
        try:
            prompt = self._template.render_with_tools(options, tools, PLAIN, self.form)
        except TemplateRefused:
            return False
        return name in prompt

    def _marked(self, shape: str) -> list[ChatMessage]:
        """A conversation of that shape, with a word in each message that the template lacks."""
        return [
            ChatMessage(_ROLES[letter.lower()], next(words) if letter.islower() else "")
            for words in [_words(self._words)]
            for letter in shape
        ]

    def _find_form(self) -> TemplateForm:
        """The first of the forms with which it keeps most shapes."""
        most, best = -1, _FORMS[0]
        for form in _FORMS:
            kept = sum(self._is_kept(shape, form) for shape in _COMMON)
            if kept > most:
                most, best = kept, form
            if most == len(_COMMON):
                break
        return best

    def _is_kept(self, shape: str, form: TemplateForm) -> bool:
        marked = self._marked(shape)
        return self._loss(marked, marked, PLAIN, form) is None

    def _find_arrangement(self, shape: str, key: bytes) -> Arrangement | str:
        """The arrangement of conversations of a shape, or why none helps."""
        options = TemplateOptions(msgspec.msgpack.decode(key))
        whys: list[str] = []
        tried: list[Sequence[ChatMessage]] = []
        marked = self._marked(shape)
        for arrangement in ARRANGEMENTS:
            messages = arranged(marked, arrangement).messages
            if messages in tried:
                continue
            tried.append(messages)
            why = self._loss(marked, messages, options, self.form)
            if why is None:
                return arrangement
            whys.append(why)
        return whys[0]

    def _loss(
        self,
        marked: Sequence[ChatMessage],
        messages: Sequence[ChatMessage],
        options: TemplateOptions,
        form: TemplateForm,
    ) -> str | None:
        """Why a marked conversation is refused or incomplete; None if the prompt has all of it."""
        try:
            prompt = self._template.render(messages, options, form)
        except TemplateRefused as exc:
            return exc.why
        said = prompt.casefold()
        words = (word for message in marked for word in message.content.split())
        shown = form.parts and _SHOWN_PART in prompt
        return _LEFT_OUT if shown or not all(word in said for word in words) else None


def _shape(messages: Sequence[ChatMessage]) -> str:
    letters = [
        _LETTERS[message.role].upper() if is_empty(message) else _LETTERS[message.role]
        for message in messages[:-1]
    ]
    # The last may still be typed.
    return "".join([*letters, _LETTERS[messages[-1].role]])


def _key(options: TemplateOptions) -> bytes:
    return msgspec.msgpack.encode(dict(sorted(options.variables.items())))


def _words_for(source: str) -> str:
    """A prefix for words that are not in a text."""
    text = source.casefold()
    letters = "qzxkvjw"
    return next(begin for begin in map("".join, product(letters, repeat=4)) if begin not in text)


def _words(begin: str) -> Iterator[str]:
    """Words of one length, so that none is a part of another."""
    for end in product("abcdefghijklmnopqrstuvwxyz", repeat=3):
        yield begin + "".join(end)
