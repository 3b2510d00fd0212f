"""Texts that act in a prompt; messages must not contain any. Kind: rules.

A template writes the texts of special tokens (``<|im_start|>``) between the messages. A message can
contain such a text, or a part that becomes one next to the template's text, or text of which the
template makes one (by lower case, say). So while the template runs, unused characters replace the
brackets in messages; afterwards it is known which brackets are the template's.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

#: Tokens that authors define beside the learned ones are mostly common text: runs of white space,
#: letters, and these elements of HTML (Gemma). To break them would only make prompts longer.
_HTML: Final = frozenset(
    (
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "blockquote", "strong", "em", "b", "i", "u", "sub", "sup", "code"),
    )
)
_ELEMENT: Final = re.compile(r"</?([a-z0-9]+)>")

#: Names of tags that a template removes from an earlier answer, or splits it at.
_THOUGHT: Final = re.compile("think|thought|reason|channel", re.IGNORECASE)

#: A template that uses one of these may change the text of messages.
_REWRITES: Final = re.compile(
    r"\b(upper|lower|title|capitalize|swapcase|casefold|replace|translate|join|format|reverse|"
    r"wordwrap|striptags|escape|urlencode|select|reject|map|batch|slice)\b"
)

#: Where stand-ins come from: the private planes of Unicode.
_PRIVATE: Final = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFD))


#: A text that acts is known by this number of characters; real ones have forty at most.
_ENOUGH: Final = 64


class Markers:
    """The texts that act, of one vocabulary and one template.

    Attributes:
        brackets: The characters with which they begin and end.
        thinking: Tags around thoughts that the template knows, and may remove from an answer.
    """

    def __init__(
        self, control: Iterable[str], defined: Iterable[str], template: str, tags: Iterable[str]
    ) -> None:
        """Collect the texts.

        Args:
            control: Texts of control tokens, and of the unknown one.
            defined: Texts of tokens that the model's author defined.
            template: The chat template.
            tags: Tags around thoughts. They act, in templates and in answers, whether or not they
                are tokens.
        """
        tags = set(tags)
        tokens = {*control, *(text for text in defined if _is_marker(text))}
        # SentencePiece writes a space in its own way.
        tokens |= {text.replace("\u2581", " ") for text in tokens}
        # A single character cannot be broken, and white space is common text.
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
        """Whether a text could act: some of it, or its ends next to other text; or any bracket, if
        the template changes the text of messages.
        """  # noqa: D205 one sentence
        if self._any.search(text) or (self._rewrites and self._bracket.search(text)):
            return True
        # A template may strip white space.
        ends = {text[-self._longest :], text.rstrip()[-self._longest :]}
        starts = {text[: self._longest][::-1], text.lstrip()[: self._longest][::-1]}
        return self._meets(ends, self._forward) or self._meets(starts, self._backward)

    def are_whole(self, contents: Iterable[str], prompt: str) -> bool:
        """Whether each of the contents with a bracket is in the prompt, stripped.

        For contents that could not act (`may_act`): unsplit, they do not act in the prompt either.
        """
        at = 0
        for content in contents:
            if self._bracket.search(content):
                # Nearly always in order, so that each is found at once.
                found = prompt.find(content.strip(), at)
                if found < 0 and (found := prompt.find(content.strip())) < 0:
                    return False
                at = found
        return True

    def acting(self, text: str) -> list[str]:
        """The texts that act in a text, in order."""
        return self._any.findall(text)

    def turns(self, text: str) -> Iterator[int]:
        """Positions at which special tokens begin in a text."""
        if self._token is None:
            return iter(())
        return (found.start() for found in self._token.finditer(text))

    def cuts(self, text: str, outside: Sequence[int]) -> list[int]:
        """Where to cut a text so that nothing acts unless all of it is the template's.

        Args:
            text: The prompt.
            outside: Positions of brackets in it that are not the template's, in order.

        Returns:
            Positions, in order; each lies within a text that would act.
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
        """Also finds texts that begin within another."""
        return re.compile(f"(?=({_one_of(self._tokens).pattern}))")

    def _meets(self, ends: Iterable[str], sorted_texts: Sequence[str]) -> bool:
        """Whether some suffix of one of ``ends`` is a prefix of one of ``sorted_texts``."""
        for text in ends:
            for found in self._bracket.finditer(text):
                end = text[found.start() :]
                at = bisect_left(sorted_texts, end)
                if at < len(sorted_texts) and sorted_texts[at].startswith(end):
                    return True
        return False


class StandIns:
    """Characters that replace brackets in the messages of one conversation."""

    def __init__(self, brackets: Iterable[str], used: Iterable[str]) -> None:
        """Choose one for each of ``brackets`` that is in none of the texts ``used``."""
        chosen = dict(zip(brackets, unused(used), strict=False))
        self._there = str.maketrans(chosen)
        self._back = str.maketrans({stand_in: bracket for bracket, stand_in in chosen.items()})
        self._any = re.compile(f"[{''.join(chosen.values())}]")

    def hide(self, text: str, but: Iterable[str] = ()) -> str:
        """Replace all brackets, except in the texts ``but``."""
        kept = "|".join(map(re.escape, but))
        if not kept:
            return text.translate(self._there)
        # Because of the group, every second part is the text between two matches.
        parts = re.split(f"({kept})", text)
        parts[::2] = [part.translate(self._there) for part in parts[::2]]
        return "".join(parts)

    def show(self, text: str) -> tuple[str, list[int]]:
        """Restore the brackets; returns their positions, too."""
        return text.translate(self._back), [found.start() for found in self._any.finditer(text)]


def unused(texts: Iterable[str]) -> Iterator[str]:
    """Private characters that are in none of the texts; there are more than a frame can hold."""
    used = set().union(*texts)
    return (chr(code) for code in chain(*_PRIVATE) if chr(code) not in used)


def _is_marker(text: str) -> bool:
    """Whether a token that an author defined is no common text but something in brackets."""
    element = _ELEMENT.fullmatch(text)
    if element and element[1] in _HTML:
        return False
    text = text.replace("\u2581", " ").strip()
    if len(text) > 2 and text[0] == "<" and text[-1] == ">":
        return True
    return any(map(str.isalnum, text)) and not (text[0].isalnum() or text[-1].isalnum())


def _one_of(texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern for the longest of the texts at a position; many take hardly longer than few."""
    return re.compile(_branches(sorted(texts)))


def _branches(words: Sequence[str]) -> str:
    """Sorted texts as a pattern that branches where they differ."""
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
    """Length of the common prefix of two texts."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
