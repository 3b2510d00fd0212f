"""What a chat template takes, found out with short conversations of marked words. Kind: hands.

A template may refuse a conversation, or leave a part of it out without a word. So each kind of
conversation is tried once: as it is, then arranged in ways that change more and more, until every
marked word is in the prompt. What people really say plays no part in that, so a conversation is
arranged in the same way in all its turns, and its prompt begins as it did before.
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

#: How a conversation is written here: a letter a message, a capital for one without content.
_ROLES: Final = {"s": "system", "u": "user", "a": "assistant"}
_LETTERS: Final = {role: letter for letter, role in _ROLES.items()}

#: Of questions and answers in turn, as many stand for any number.
_MANY_TURNS: Final = re.compile("(?:au){3,}")
_TURNS: Final = "auau"

#: By which it is found out in which form a template wants its messages.
_COMMON: Final = ("u", "uau", "su", "suau")
_TOOLS: Final[tuple[ToolsAs, ...]] = ("none", "empty", "undefined")
_FORMS: Final = [TemplateForm(parts, tools) for parts, tools in product((False, True), _TOOLS)]

#: Python's own way to show a part, which no model was taught.
_SHOWN_PART: Final = "{'type': 'text'"

_LEFT_OUT: Final = "it leaves out a part of what was said, however that is put"

#: Days that have nothing in common.
_MOMENTS_S: Final = (981_173_106.0, 1_353_594_752.0)

#: Kinds of conversation that are kept in mind; a household has a handful.
_KEPT: Final = 256


class TemplateFit:
    """What one template takes; several threads may use it at once.

    Attributes:
        form: How it is given messages.
        tells_date: It writes what day it is into prompts, or into those without a system message.
    """

    def __init__(self, template: JinjaTemplate) -> None:
        """Try the template.

        Raises:
            TemplateRefused: If it does not take a single question, or leaves its words out.
        """
        self._template = template
        self._words = _words_for(template.source)
        self._find = lru_cache(_KEPT)(self._find_arrangement)
        self.form = self._find_form()
        if not self._is_kept("u", self.form):
            # In its own words, if it has any.
            template.render(self._marked("u"), PLAIN, self.form)
            raise TemplateRefused("it leaves out what is asked")
        self.writes_date = self.dates("u") or self.dates("su")

    def fit(self, messages: Sequence[ChatMessage], options: TemplateOptions = PLAIN) -> Arranged:
        """Put a conversation so that the template takes all of it; nearly always as it is.

        Args:
            messages: The last is the user's, who may not have begun to type it.
            options: What else the template is told.

        Raises:
            TemplateRefused: If it takes it in no way.
        """
        arrangement = self.arrangement(_shape(messages), options)
        return arranged(messages, arrangement) if arrangement.weight else Arranged(messages)

    def arrangement(self, shape: str, options: TemplateOptions = PLAIN) -> Arrangement:
        """How a conversation of that shape is put, such as ``suau``.

        Raises:
            TemplateRefused: As `fit`.
        """
        found = self._find(_MANY_TURNS.sub(_TURNS, shape), _key(options))
        if isinstance(found, str):
            raise TemplateRefused(found)
        return found

    def dates(self, shape: str) -> bool:
        """Whether the prompt of such a conversation is another one on another day."""
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
        """Whether it writes tools that it is given into the prompt."""
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
        """A conversation of that shape, with a word in each message that no template has."""
        return [
            ChatMessage(_ROLES[letter.lower()], next(words) if letter.islower() else "")
            for words in [_words(self._words)]
            for letter in shape
        ]

    def _find_form(self) -> TemplateForm:
        """The first of those with which it keeps most."""
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
        """What is done to such conversations, or why none of it helps."""
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
        """Why a marked conversation is not to be given like this; None if all of it is kept."""
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
    # The last is being typed.
    return "".join([*letters, _LETTERS[messages[-1].role]])


def _key(options: TemplateOptions) -> bytes:
    return msgspec.msgpack.encode(dict(sorted(options.variables.items())))


def _words_for(source: str) -> str:
    """How words begin that are not in a text."""
    text = source.casefold()
    letters = "qzxkvjw"
    return next(begin for begin in map("".join, product(letters, repeat=4)) if begin not in text)


def _words(begin: str) -> Iterator[str]:
    """Words of one length, so that none is a part of another."""
    for end in product("abcdefghijklmnopqrstuvwxyz", repeat=3):
        yield begin + "".join(end)
