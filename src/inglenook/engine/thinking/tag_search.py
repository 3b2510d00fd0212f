"""Where tags stand in a text, and which part of an answer a text is in. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from inglenook.engine.thinking.forms import Tags

#: The longest name of a thought, where it has one.
NAME_CHARACTERS: Final = 32


class TagPosition(Enum):
    """Where in an answer a parser is."""

    START = auto()
    NAME = auto()
    THOUGHT = auto()
    BETWEEN = auto()
    ANSWER = auto()
    WRAPPED = auto()
    AFTER = auto()


def ends_in_name(form: Tags, prompt: str) -> bool:
    """Whether a prompt ends with an opening tag and perhaps a part of the thought's name."""
    opens = "|".join(map(re.escape, form.opens))
    return bool(re.search(rf"(?:{opens})\w{{0,{NAME_CHARACTERS}}}$", prompt))


def may_be_tag(text: str, tags: Iterable[str]) -> bool:
    """Whether a text may become one of the tags; an empty one may."""
    return any(tag.startswith(text) for tag in tags)


def first_tag(text: str, tags: Iterable[str]) -> tuple[int, str | None]:
    """Where the first of the tags stands in a text, and which it is."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    return min(found, default=(-1, None), key=lambda place: place[0])
