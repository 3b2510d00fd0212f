"""Searches tags in a text; the positions in an answer. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from inglenook.engine.thinking.forms import Tags

#: Length of a thought's name, at most.
NAME_CHARACTERS: Final = 32


class TagPosition(Enum):
    """A parser's position in an answer."""

    START = auto()
    NAME = auto()
    THOUGHT = auto()
    BETWEEN = auto()
    ANSWER = auto()
    WRAPPED = auto()
    AFTER = auto()


def ends_in_name(form: Tags, prompt: str) -> bool:
    """Whether a prompt ends with an opening tag and perhaps a prefix of a thought's name."""
    opens = "|".join(map(re.escape, form.opens))
    return bool(re.search(rf"(?:{opens})\w{{0,{NAME_CHARACTERS}}}$", prompt))


def may_be_tag(text: str, tags: Iterable[str]) -> bool:
    """Whether a text is a prefix of one of the tags; an empty text is."""
    return any(tag.startswith(text) for tag in tags)


def first_tag(text: str, tags: Iterable[str]) -> tuple[int, str | None]:
    """The position of the first of the tags in a text, and the tag; -1 and None if none."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    return min(found, default=(-1, None), key=lambda place: place[0])
