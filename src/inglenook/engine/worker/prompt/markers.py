"""Texts that act in a prompt, and how text from outside is kept from being one. Kind: rules.

A template writes the texts of special tokens (``<|im_start|>``) between the messages. A message can
hold such a text whole, or a part that becomes one beside what the template writes, or one that the
template makes of it (by lower case, say). So while the template runs, characters that do not occur
stand for the brackets in messages; afterwards it is plain which bracket is the template's.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

#: What an author defines beside the learned tokens is mostly text that is common: runs of white
#: space, letters, and these elements of HTML (Gemma). To break them would only make prompts longer.
_HTML: Final = frozenset(
    (
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "blockquote", "strong", "em", "b", "i", "u", "sub", "sup", "code"),
    )
)
_ELEMENT: Final = re.compile(r"</?([a-z0-9]+)>")

#: Names of what a template takes out of an earlier answer, or takes apart.
_THOUGHT: Final = re.compile("think|thought|reason|channel", re.IGNORECASE)

#: A template that does one of these may make another text of what it was given.
_REWRITES: Final = re.compile(
    r"\b(upper|lower|title|capitalize|swapcase|casefold|replace|translate|join|format|reverse|"
    r"wordwrap|striptags|escape|urlencode|select|reject|map|batch|slice)\b"
)

#: Where stand-ins come from: the private planes of Unicode.
_PRIVATE: Final = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFD))


#: So many characters are enough to know a text that acts; real ones have forty at most.
_ENOUGH: Final = 64


class Markers:
    """The texts that act, of one vocabulary and one template.

    Attributes:
        brackets: With which they begin and end.
        thinking: Those around thinking that the template knows, and may take out of an answer.
    """

    def __init__(
        self, control: Iterable[str], defined: Iterable[str], template: str, tags: Iterable[str]
    ) -> None:
        """Take what the vocabulary has.

        Args:
            control: Texts of control tokens, and of the unknown one.
            defined: Texts of tokens that the model's author defined.
            template: The chat template.
            tags: Those around thinking. They act, in templates and in answers, whether or not they
                are tokens.
        """
        tags = set(tags)
        tokens = {*control, *(text for text in defined if _is_marker(text))}
        # SentencePiece writes a space in its own way.
        tokens |= {text.replace("\u2581", " ") for text in tokens}
        # A single character cannot be broken, and white space is no one's.
        self._tokens = frozenset(text[:_ENOUGH] for text in tokens if len(text.strip()) > 1)
        texts = self._tokens | tags
        self.brackets = frozenset(text.strip()[end] for text in texts for end in (0, -1))
        self.thinking = [
            text for text in texts if text in template and (text in tags or _THOUGHT.search(text))
        ]
        self._any = _one_of(texts)
        self._token = _one_of(self._tokens) if self._tokens else None
        self._forward = sorted(texts)
        self._backward = sorted(text[::-1] for text in texts)
        self._longest = max(map(len, texts))
        self._rewrites = bool(_REWRITES.search(template))
        self._bracket = re.compile(f"[{re.escape(''.join(self.brackets))}]")

    def may_act(self, text: str) -> bool:
        """Whether something of it could act: all of it, or its ends beside what comes before and
        after; or anything at all, if the template makes other texts of what it gets.
        """  # noqa: D205 one sentence
        if self._any.search(text) or (self._rewrites and self._bracket.search(text)):
            return True
        # A template may take white space away.
        ends = {text[-self._longest :], text.rstrip()[-self._longest :]}
        starts = {text[: self._longest][::-1], text.lstrip()[: self._longest][::-1]}
        return self._meets(ends, self._forward) or self._meets(starts, self._backward)

    def are_whole(self, contents: Iterable[str], prompt: str) -> bool:
        """Whether each of the contents with a bracket is in the prompt, but for space around it.

        For contents that could not act (`may_act`): in one piece they do not in the prompt either.
        """
        at = 0
        for content in contents:
            if self._bracket.search(content):
                # In their order nearly always, so that each is found at once.
                found = prompt.find(content.strip(), at)
                if found < 0 and (found := prompt.find(content.strip())) < 0:
                    return False
                at = found
        return True

    def acting(self, text: str) -> list[str]:
        """What acts in a text, in its order."""
        return self._any.findall(text)

    def turns(self, text: str) -> Iterator[int]:
        """Where special tokens begin in a text."""
        if self._token is None:
            return iter(())
        return (found.start() for found in self._token.finditer(text))

    def cuts(self, text: str, outside: Sequence[int]) -> list[int]:
        """Where to cut a text so that nothing acts that is not all the template's.

        Args:
            text: The prompt.
            outside: Places of brackets in it that are not the template's, in their order.

        Returns:
            Places, in their order; each lies within a text that would act.
        """
        cuts: set[int] = set()
        if not outside or not self._tokens:
            return []
        for found in self._at_each_place.finditer(text):
            start, stop = found.span(1)
            at = bisect_left(outside, start)
            if at < len(outside) and outside[at] < stop:
                cuts.add(max(outside[at], start + 1))
        return sorted(cuts)

    @cached_property
    def _at_each_place(self) -> re.Pattern[str]:
        """Finds also those that begin within another."""
        return re.compile(f"(?=({_one_of(self._tokens).pattern}))")

    def _meets(self, ends: Iterable[str], sorted_texts: Sequence[str]) -> bool:
        """Whether some end of one of ``ends`` is what one of the others begins with."""
        for text in ends:
            for found in self._bracket.finditer(text):
                end = text[found.start() :]
                at = bisect_left(sorted_texts, end)
                if at < len(sorted_texts) and sorted_texts[at].startswith(end):
                    return True
        return False


class StandIns:
    """Characters that stand for brackets, in one conversation."""

    def __init__(self, brackets: Iterable[str], used: Iterable[str]) -> None:
        """Choose one for each of ``brackets`` that none of the texts ``used`` has."""
        chosen = dict(zip(brackets, unused(used), strict=False))
        self._there = str.maketrans(chosen)
        self._back = str.maketrans({stand_in: bracket for bracket, stand_in in chosen.items()})
        self._any = re.compile(f"[{''.join(chosen.values())}]")

    def hide(self, text: str, but: Iterable[str] = ()) -> str:
        """Put stand-ins for all brackets, except in texts of ``but``."""
        kept = "|".join(map(re.escape, but))
        if not kept:
            return text.translate(self._there)
        # With a group, every second part is what stands between two others.
        parts = re.split(f"({kept})", text)
        parts[::2] = [part.translate(self._there) for part in parts[::2]]
        return "".join(parts)

    def show(self, text: str) -> tuple[str, list[int]]:
        """Put the brackets back; say where they are."""
        return text.translate(self._back), [found.start() for found in self._any.finditer(text)]


def unused(texts: Iterable[str]) -> Iterator[str]:
    """Private characters that none of the texts has; there are more than a frame can hold."""
    used = set().union(*texts)
    return (chr(code) for code in chain(*_PRIVATE) if chr(code) not in used)


def _is_marker(text: str) -> bool:
    """Whether a text that an author defined is more than common text: something in brackets."""
    element = _ELEMENT.fullmatch(text)
    if element and element[1] in _HTML:
        return False
    text = text.replace("\u2581", " ").strip()
    if len(text) > 2 and text[0] == "<" and text[-1] == ">":
        return True
    return any(map(str.isalnum, text)) and not (text[0].isalnum() or text[-1].isalnum())


def _one_of(texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern for the longest of the texts at a place; many take hardly longer than few."""
    return re.compile(_branches(sorted(texts)))


def _branches(words: Sequence[str]) -> str:
    """Sorted texts as a pattern that branches where they part."""
    found = []
    whole = bool(words) and not words[0]
    at = int(whole)
    while at < len(words):
        stop = bisect_right(words, words[at][0], lo=at, key=lambda word: word[0])
        common = _common(words[at], words[stop - 1])
        rest = _branches([word[common:] for word in words[at:stop]])
        found.append(re.escape(words[at][:common]) + rest)
        at = stop
    if not found:
        return ""
    return f"(?:{'|'.join(found)})" + ("?" if whole else "")


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common from the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
