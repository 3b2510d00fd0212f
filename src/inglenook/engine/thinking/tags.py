"""Parser of thoughts between two tags. Kind: rules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Self

from inglenook.engine.thinking.forms import Tags
from inglenook.engine.thinking.parser import APART, Part, begun
from inglenook.engine.thinking.signs import Signs
from inglenook.engine.thinking.tag_search import (
    NAME_CHARACTERS,
    TagPosition,
    ends_in_name,
    first_tag,
    may_be_tag,
)


class TagParser:
    """A `Parser` of `Tags`.

    An opening tag counts only at the beginning, where models put it, unless the form reopens:
    later it may be part of an answer about such tags.
    """

    def __init__(self, form: Tags, signs: Signs, prompt: str = "") -> None:
        """Begin at the end of a prompt.

        Args:
            form: The tags, with signs for tokens.
            signs: The signs.
            prompt: The end of the prompt, with signs; only text of the template.
        """
        self._form = form
        self._signs = signs
        self._held = ""
        self._beside = False  # whether a tag precedes, with only white space since
        self._before = (False, False)  # whether text of an answer, of a thought was returned
        self._end = ""  # the tag that ends the answer, if it has tags
        self._wraps = dict(form.wraps)
        #: Tags around an answer without a thought; as plain text, they may be part of it.
        self._early = {begin for begin in self._wraps if begin and begin[0] in signs.tokens}
        self._at = self._begin(prompt.rstrip())

    def _begin(self, prompt: str) -> TagPosition:
        form = self._form
        named = form.named and ends_in_name(form, prompt)
        if named or any(prompt.endswith(tag) for tag in form.opens):
            self._beside = True
            return TagPosition.THOUGHT
        for begin, end in form.wraps:
            if prompt.endswith(begin):
                self._beside = True
                self._end = end
                return TagPosition.WRAPPED
        if any(prompt.endswith(tag) for tag in form.closes):
            # An empty thought: the tags of an answer may follow it.
            self._early.update(self._wraps)
        return TagPosition.START

    @property
    def thinking(self) -> bool:
        """See `Parser.thinking`."""
        return self._at in (TagPosition.NAME, TagPosition.THOUGHT)

    @property
    def doubtful(self) -> bool:
        """See `Parser.doubtful`."""
        return bool(self._held.strip())

    @property
    def closing(self) -> str:
        """See `Parser.closing`."""
        held = self._held
        match self._at:
            case TagPosition.START | TagPosition.BETWEEN if held.strip():
                tags = [*self._form.opens, *self._wraps]
                tag = next(tag for tag in tags if tag.startswith(held.lstrip()))
                rest = tag[len(held.lstrip()) :]
                return rest if tag in self._wraps else rest + self._form.closes[0]
            case TagPosition.NAME | TagPosition.THOUGHT:
                close = self._form.closes[0]
                return close[begun(held, close) :]
            case _:
                return ""

    def push(self, text: str) -> list[Part]:
        """See `Parser.push`."""
        if self._at is TagPosition.ANSWER and not self._form.reopens:
            return self._said(text)
        parts: list[Part] = []
        text, self._held = self._held + text, ""
        steps: dict[TagPosition, Callable[[str, list[Part]], str]] = {
            TagPosition.START: self._start,
            TagPosition.NAME: self._name,
            TagPosition.THOUGHT: self._thought,
            TagPosition.BETWEEN: self._between,
            TagPosition.ANSWER: self._answer,
            TagPosition.WRAPPED: self._wrapped,
            TagPosition.AFTER: self._after,
        }
        while text:
            text = steps[self._at](text, parts)
        return parts

    def finish(self) -> list[Part]:
        """See `Parser.finish`."""
        held, self._held = self._held, ""
        held = "" if self._at is TagPosition.AFTER else held
        return self._said(held.rstrip() if self.thinking else held)

    def copy(self) -> Self:
        """See `Parser.copy`."""
        return copy.copy(self)

    # Each takes text from the beginning and returns the rest, or holds a possible tag.

    def _start(self, text: str, parts: list[Part]) -> str:
        start = text.lstrip()
        for tag in self._form.opens:
            if start.startswith(tag):
                return self._open(start, tag)
        for tag in self._early:
            if start.startswith(tag):
                return self._wrap(start, tag)
        if may_be_tag(start, (*self._form.opens, *self._early)):
            self._held = text
            return ""
        self._at = TagPosition.ANSWER
        return text

    def _open(self, text: str, tag: str) -> str:
        self._at = TagPosition.NAME if self._form.named else TagPosition.THOUGHT
        self._beside = True
        return text[len(tag) :]

    def _wrap(self, text: str, tag: str) -> str:
        self._at = TagPosition.WRAPPED
        self._beside = True
        self._end = self._wraps[tag]
        return text[len(tag) :]

    def _name(self, text: str, parts: list[Part]) -> str:
        name, line, rest = text.partition("\n")
        ended = any(tag in name for tag in self._form.closes)
        if not (line or ended) and len(text) <= NAME_CHARACTERS:
            self._held = text
            return ""
        self._at = TagPosition.THOUGHT
        if ended:
            return text[min(at for tag in self._form.closes if (at := text.find(tag)) >= 0) :]
        return rest if line and len(name) <= NAME_CHARACTERS else text

    def _thought(self, text: str, parts: list[Part]) -> str:
        if self._beside:
            text = text.lstrip()
            for tag in self._form.opens:
                # The tag is in the prompt, and the model repeats it.
                if text.startswith(tag):
                    return text[len(tag) :]
            if may_be_tag(text, self._form.opens):
                self._held = text
                return ""
        tags = (*self._form.closes, *self._form.drops)
        at, closed = first_tag(text, tags)
        if closed is None:
            self._add_sure(parts, text, tags)
            return ""
        if closed in self._form.drops:
            self._add_sure(parts, text[:at], ())
            kept, self._held = self._held, ""
            return kept + text[at + len(closed) :]
        parts += self._said(text[:at].rstrip())
        if closed in self._wraps:
            return self._wrap(text[at:], closed)
        self._at = TagPosition.BETWEEN
        self._beside = True
        return text[at + len(closed) :]

    def _between(self, text: str, parts: list[Part]) -> str:
        text = text.lstrip()
        if not text:
            return ""
        signs = self._signs.tokens
        for tag in self._form.closes:
            if tag[0] in signs and text.startswith(tag):
                return text[len(tag) :]
        again = tuple(tag for tag in self._form.opens if tag[0] in signs or self._form.reopens)
        for tag in again:
            if text.startswith(tag):
                return self._open(text, tag)
        for tag in self._wraps:
            if text.startswith(tag):
                return self._wrap(text, tag)
        if may_be_tag(text, (*again, *self._wraps)):
            self._held = text
            return ""
        self._at = TagPosition.ANSWER
        return text

    def _answer(self, text: str, parts: list[Part]) -> str:
        if not self._form.reopens:
            parts += self._said(text)
            return ""
        at, tag = first_tag(text, self._form.opens)
        if tag is None:
            self._add_sure(parts, text, self._form.opens)
            return ""
        parts += self._said(text[:at].rstrip())
        return self._open(text[at:], tag)

    def _wrapped(self, text: str, parts: list[Part]) -> str:
        if self._beside:
            text = text.lstrip()
        at = text.find(self._end)
        if at < 0:
            self._add_sure(parts, text, (self._end,))
            return ""
        parts += self._said(text[:at].rstrip())
        self._at = TagPosition.AFTER
        return text[at + len(self._end) :]

    def _after(self, text: str, parts: list[Part]) -> str:
        if self._end[0] in self._signs.tokens:
            # Text after such a token is structure, too.
            return ""
        if not text.strip():
            self._held = text
            return ""
        self._at = TagPosition.ANSWER
        return text

    def _add_sure(self, parts: list[Part], text: str, tags: Iterable[str]) -> None:
        """Add all text except an end that may be a tag, or white space before one."""
        sure = text[: len(text) - max((begun(text, tag) for tag in tags), default=0)].rstrip()
        self._held = text[len(sure) :]
        parts += self._said(sure)

    def _said(self, text: str) -> list[Part]:
        shown = self._signs.show(text)
        if not shown:
            return []
        thought = self.thinking
        if self._beside and self._before[thought]:
            shown = APART + shown
        self._beside = False
        self._before = (self._before[0] or not thought, self._before[1] or thought)
        return [Part(thought, shown)]
