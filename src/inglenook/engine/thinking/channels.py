"""Parser of thoughts and answers that are messages with a header. Kind: rules."""

from __future__ import annotations

import copy
from typing import Final, Self

from inglenook.engine.thinking.forms import Channels
from inglenook.engine.thinking.parser import APART, Part, begun
from inglenook.engine.thinking.signs import Signs

#: Longer text is no header.
_HEADER_CHARACTERS: Final = 200


#: In a header, before the name of the program that a message is addressed to.
_RECIPIENT: Final = " to="


class ChannelParser:
    """A `Parser` of `Channels`."""

    def __init__(self, form: Channels, signs: Signs, prompt: str = "") -> None:
        """Begin at the end of a prompt; see `TagParser`."""
        self._form = form
        self._signs = signs
        #: The header of the message so far, without its start; None within a message.
        self._header: str | None = ""
        #: The start mark was received.
        self._started = False
        self._given = 0
        self._thought = False
        self._held = ""
        #: No text of the message was received yet.
        self._fresh = True
        self._answered = False
        self._before = (False, False)
        _earlier, start, header = prompt.rstrip().rpartition(form.start)
        if start:
            self.push(start + header)
        #: Number of characters of the first header that are in the prompt.
        self._given = len(self._header or "")
        #: Some text of an answer was received.
        self._answered = False

    @property
    def thinking(self) -> bool:
        """See `Parser.thinking`."""
        return self._header is not None or self._thought

    @property
    def doubtful(self) -> bool:
        """See `Parser.doubtful`."""
        return bool(self._held.strip())

    @property
    def closing(self) -> str:
        """See `Parser.closing`."""
        form = self._form
        if self._header is None:
            if not self._thought:
                return ""
            end = form.ends[0]
            return end[begun(self._held, end) :] + form.start + form.role + form.answer
        header = self._header
        if not header.strip() and self._before == (False, False):
            # The prompt began the message.
            return form.answer
        if self._answered and not (header or self._started):
            # The answer is complete, and the model may end.
            return ""
        start = "" if self._started else form.start
        for whole in (start + form.role + form.answer, form.role + form.answer, form.answer):
            if whole.startswith(header):
                return whole[len(header) :]
        # The header of another message, which is ended before it begins.
        tag = max(form.begins, key=lambda tag: begun(header, tag))
        recipient = _RECIPIENT[begun(header, _RECIPIENT) :] if begun(header, _RECIPIENT) > 1 else ""
        rest = recipient + tag[begun(header, tag) :]
        return rest + form.ends[0] + form.start + form.role + form.answer

    def push(self, text: str) -> list[Part]:
        """See `Parser.push`."""
        parts: list[Part] = []
        text, self._held = self._held + text, ""
        while text:
            text = self._head(text) if self._header is not None else self._body(text, parts)
        return parts

    def finish(self) -> list[Part]:
        """See `Parser.finish`."""
        parts: list[Part] = []
        held, self._held = self._held, ""
        if self._header is None:
            self._add(parts, held.rstrip() if self._thought else held)
        elif self._before == (False, False) and not self._has_marks(self._header):
            # Text that could have become a header.
            self._thought = False
            self._add(parts, self._header[self._given :])
        return parts

    def copy(self) -> Self:
        """See `Parser.copy`."""
        return copy.copy(self)

    def _head(self, text: str) -> str:
        """Take the header, as far as it was received; returns the text after it."""
        for place, character in enumerate(text, start=1):
            assert self._header is not None
            header = self._header + character
            if header.endswith(self._form.start):
                self._header, self._started, self._given = "", True, 0
            elif header.endswith(self._form.ends):
                self._header, self._started, self._given = "", False, 0
            elif header.endswith(self._form.begins):
                self._enter(header)
                return text[place:]
            elif self._is_header(header):
                self._header = header
            else:
                # The model was not trained for this form, or lost it in fine-tuning.
                words = header[self._given :]
                self._enter("")
                return words + text[place:]
        return ""

    def _enter(self, header: str) -> None:
        """Begin a message."""
        self._header = None
        self._started = False
        self._given = 0
        self._thought = any(mark in header for mark in (*self._form.thoughts, *self._form.hidden))
        self._fresh = True

    def _is_header(self, text: str) -> bool:
        """Whether a text may be a prefix of a header."""
        form = self._form
        rest = text.lstrip()
        if form.start.startswith(rest):
            return True
        if rest.startswith(form.role):
            rest = rest[len(form.role) :].lstrip()
        elif form.role.startswith(rest):
            return True
        known = (_RECIPIENT.lstrip(), *form.begins, *form.ends, form.answer, *form.thoughts)
        likely = any(tag.startswith(rest) or rest.startswith(tag) for tag in known)
        marked = bool(rest) and (
            rest[0] in self._signs.tokens or rest.startswith(_RECIPIENT.lstrip())
        )
        return (likely or marked or self._channelled(rest)) and len(text) <= _HEADER_CHARACTERS

    def _has_marks(self, text: str) -> bool:
        mark = self._form.answer.partition("final")[0]
        return any(sign in text for sign in (*self._signs.tokens, mark))

    def _channelled(self, text: str) -> bool:
        """Whether a text begins like the answer's header, with another name."""
        mark, _name, _rest = self._form.answer.partition("final")
        return bool(_name) and text.startswith(mark)

    def _body(self, text: str, parts: list[Part]) -> str:
        """Take text of a message; returns the text after it."""
        if self._fresh and self._thought:
            text = text.lstrip()
        ends = (*self._form.ends, self._form.start)
        found = [(at, tag) for tag in ends if (at := text.find(tag)) >= 0]
        if not found:
            sure = text[: len(text) - max(begun(text, tag) for tag in ends)].rstrip()
            self._held = text[len(sure) :]
            self._add(parts, sure)
            return ""
        at, tag = min(found)
        self._add(parts, text[:at].rstrip())
        self._header = ""
        self._started = tag == self._form.start
        return text[at + len(tag) :]

    def _add(self, parts: list[Part], text: str) -> None:
        shown = self._signs.without(text)
        if not shown:
            return
        if self._fresh and self._before[self._thought]:
            shown = APART + shown.lstrip()
        self._fresh = False
        self._answered = self._answered or not self._thought
        answered, thought = self._before
        self._before = (answered or not self._thought, thought or self._thought)
        parts.append(Part(self._thought, shown))
