"""Tags that are tokens, written as one character each. Kind: rules.

A tag may be one token of the vocabulary, whose text the library shows (user defined) or does not
(control), or it may be ordinary text. Parsers see text, in which a token that is a tag, or part of
one, is a character that no other text has. So text that only looks like a token is not taken for
one, and a token without text is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

#: Unicode's noncharacters, which are for a program's internal use.
_FREE: Final = [chr(code) for code in range(0xFDD0, 0xFDF0)]
#: Special tokens without brackets are words, not tags.
_BRACKETED: Final = re.compile(r"[<\[].+[>\]]", re.DOTALL)

_NOTHING: Final = dict.fromkeys(map(ord, _FREE), "")
_FOREIGN: Final = dict.fromkeys(map(ord, _FREE), "\ufffd")


class SpecialToken(NamedTuple):
    """A token that the library finds by its exact text.

    Attributes:
        text: As the vocabulary writes it.
        control: A control token, of which the library shows no text; else its author defined it
            beside the learned ones.
        number: Its id.
    """

    text: str
    control: bool
    number: int


class Signs:
    """The characters that represent tokens, of one vocabulary and the tags of one form."""

    def __init__(self, tags: Iterable[str], tokens: Iterable[SpecialToken]) -> None:
        """Choose one for each token in a tag."""
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
        #: The character of a token, by its id.
        self.by_token: Mapping[int, str] = {
            token.number: sign for text, sign in chosen.items() for token in known[text]
        }
        #: The id of a token, by its character.
        self.tokens: Mapping[str, int] = {
            sign: known[text][0].number for text, sign in chosen.items()
        }

    def encode(self, text: str) -> str:
        """Replace tokens in a text by their characters; only for text that may act."""
        return self._any.sub(lambda found: self._encoded[found[0]], foreign(text))

    def show(self, text: str) -> str:
        """The text that a reader sees of a text with signs."""
        return text if text.isascii() else text.translate(self._shown)

    def without(self, text: str) -> str:
        """A text without its signs."""
        return text if text.isascii() else text.translate(_NOTHING)


def foreign(text: str) -> str:
    """Replace signs in text from outside, which must have none."""
    return text if text.isascii() else text.translate(_FOREIGN)
