"""Tags that are tokens, written as one character each. Kind: rules.

A tag may be one token of the vocabulary, whose text the library shows (user defined) or does not
(control), or it may be text like any other. Parsers see all of it as text, in which a token that is
a tag, or part of one, is a character that no text has. So text that only looks like a token is not
taken for it, and a token that says nothing is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

#: Unicode's noncharacters, which are for a program's own use.
_FREE: Final = [chr(code) for code in range(0xFDD0, 0xFDF0)]
#: Words that an author has made tokens of are words all the same.
_BRACKETED: Final = re.compile(r"[<\[].+[>\]]", re.DOTALL)

_NOTHING: Final = dict.fromkeys(map(ord, _FREE), "")
_FOREIGN: Final = dict.fromkeys(map(ord, _FREE), "\ufffd")


class SpecialToken(NamedTuple):
    """A token that the library finds by its exact text.

    Attributes:
        text: As the vocabulary writes it.
        control: It is no text to the model, and the library shows nothing of it; else its author
            defined it beside the learned ones.
        number: Its id.
    """

    text: str
    control: bool
    number: int


class Signs:
    """The characters that stand for tokens, of one vocabulary and the tags of one form."""

    def __init__(self, tags: Iterable[str], tokens: Iterable[SpecialToken]) -> None:
        """Choose one for each token that a tag has."""
        tags = list(tags)
        known: dict[str, list[SpecialToken]] = {}
        for token in tokens:
            if _BRACKETED.fullmatch(token.text) and any(token.text in tag for tag in tags):
                known.setdefault(token.text, []).append(token)
        chosen = dict(zip(sorted(known, key=len, reverse=True), _FREE, strict=False))
        self._encoded = chosen
        self._any = re.compile("|".join(map(re.escape, chosen)) or "(?!)")
        self._shown = {
            ord(sign): "" if known[text][0].control else text for text, sign in chosen.items()
        }
        #: By its id, what stands for a token.
        self.by_token: Mapping[int, str] = {
            token.number: sign for text, sign in chosen.items() for token in known[text]
        }
        #: And by that, its id.
        self.tokens: Mapping[str, int] = {
            sign: known[text][0].number for text, sign in chosen.items()
        }

    def encode(self, text: str) -> str:
        """Write a text with signs in the place of tokens; for what may act only."""
        return self._any.sub(lambda found: self._encoded[found[0]], foreign(text))

    def show(self, text: str) -> str:
        """Write what a reader sees of a text with signs."""
        return text if text.isascii() else text.translate(self._shown)

    def without(self, text: str) -> str:
        """Write a text where no token of those is ever shown."""
        return text if text.isascii() else text.translate(_NOTHING)


def foreign(text: str) -> str:
    """Text of a model or a person, which has no signs."""
    return text if text.isascii() else text.translate(_FOREIGN)
