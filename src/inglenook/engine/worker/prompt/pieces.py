"""Cuts a long prompt into pieces, which are tokenised one by one. Kind: rules.

Three reasons: the library's work and its stack grow out of proportion to the length of some texts,
so it is given no long ones; pieces are cached, and found again when a conversation has grown; and a
prompt that is too long is recognised before all of it is tokenised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

#: A text up to this length is one piece, unless it has to be cut for another reason.
SHORT_CHARACTERS: Final = 4096

#: A piece ends where a message does, if it is this long by then.
_ENOUGH_CHARACTERS: Final = 2048

#: A piece ends at the first good position beyond the first of these, or else at the second. That
#: bounds the library's stack at 4 MB (x86-64, measured), where a main thread has 8.
_LONG_CHARACTERS: Final = 8192
_LONGEST_CHARACTERS: Final = 12_288

#: Digits in a row: a number is bounded more closely than other text, as it is one word at any
#: length. That its tokens differ where it is cut does not matter: real numbers are shorter.
_DIGITS: Final = 510

#: Between two words; or after the end of a line or of a Chinese sentence. All pre-tokenizers except
#: those that join words cut there as well, so the tokens are the same.
_GOOD_PLACE: Final = re.compile(
    r"(?<=[A-Za-z,.])(?= [A-Za-z])|(?<=[^\s]\n)(?=\w)|(?<=[\u3002\uff01\uff1f])(?=\w)"
)

_LONG_NUMBER: Final = re.compile(rf"(?<!\d)\d{{{_DIGITS + 1},}}")


class PromptPiece(NamedTuple):
    """A part of a prompt.

    Attributes:
        text: Its text.
        continued: It begins within a text that the tokenizer would see as one.
    """

    text: str
    continued: bool


def is_one_piece(text: str) -> bool:
    """Whether a text is short enough to be one piece."""
    if len(text) > SHORT_CHARACTERS:
        return False
    # A number that is too long has a digit at one of these positions.
    if not any(map(str.isdecimal, text[_DIGITS :: _DIGITS + 1])):
        return True
    return not _LONG_NUMBER.search(text)


def pieces(text: str, cuts: Iterable[int], turns: Iterable[int]) -> Iterator[PromptPiece]:
    """Cut a prompt.

    A cut does not depend on the text after it: the prefix of a longer conversation is cut as it was
    before.

    Args:
        text: The prompt.
        cuts: Positions at which it must be cut, in order.
        turns: Positions at which control tokens of the template begin, in order. The tokens
            before and after do not depend on each other.
    """
    hard = {*cuts, *_within_numbers(text)}
    turn = {*_spaced(turns)} - hard
    borders = sorted({0, *hard, *turn, len(text)})
    for border, stop in pairwise(borders):
        start, continued = border, border > 0 and border not in turn
        while stop - start > _LONGEST_CHARACTERS:
            good = _GOOD_PLACE.search(text, start + _LONG_CHARACTERS, start + _LONGEST_CHARACTERS)
            at = good.start() if good else start + _LONGEST_CHARACTERS
            yield PromptPiece(text[start:at], continued)
            start, continued = at, True
        yield PromptPiece(text[start:stop], continued)


def _within_numbers(text: str) -> Iterator[int]:
    for found in _LONG_NUMBER.finditer(text):
        yield from range(found.start() + _DIGITS, found.end(), _DIGITS)


def _spaced(turns: Iterable[int]) -> Iterator[int]:
    """Those turns that are far enough from the one before."""
    last = 0
    for turn in turns:
        if turn - last >= _ENOUGH_CHARACTERS:
            last = turn
            yield turn
