"""Word wrap of streamed text for a terminal, without control characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from rich.cells import cell_len

#: Unicode categories that must not begin a line: closing marks, other marks, and modifiers such
#: as the Japanese long vowel sign.
_NOT_FIRST = ("Pe", "Pf", "Po", "Lm")

_ZERO_WIDTH_JOINER = "\u200d"

#: They modify the emoji before them.
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))

#: Two of them make a flag.
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))

_FENCE = "```"


class WordWrap:
    """Breaks lines at spaces, and between characters of scripts that have none.

    A word is held back until it is whole. Code between fences is not wrapped, so that it can be
    copied.
    """

    def __init__(self, columns: Callable[[], int]) -> None:
        """``columns`` returns the current width of the terminal."""
        self._columns = columns
        self._column = 0
        self._spaces = ""
        self._word = ""
        self._word_goes_on = False
        self._line_begins = True
        self._verbatim = False

    @property
    def at_line_start(self) -> bool:
        """Whether the current line is empty."""
        return self._column == 0 and not self._word and not self._spaces

    def feed(self, text: str) -> str:
        """Take more text; returns the part that can be shown now."""
        return "".join(self._take(char) for char in text if _is_shown(char))

    def pause(self) -> str:
        """Return the incomplete word; the rest of the word will stay on its line."""
        shown = self._place()
        self._word_goes_on = self._word_goes_on or bool(shown)
        return shown

    def finish(self) -> str:
        """Return the rest of the text."""
        shown = self._place()
        self._spaces = ""
        return shown

    def _take(self, char: str) -> str:
        if char == "\n":
            shown = self._place()
            self._spaces, self._column, self._line_begins = "", 0, True
            self._word_goes_on = False
            return f"{shown}\n"
        if char in " \t":
            shown = self._place()
            self._spaces, self._word_goes_on = self._spaces + char, False
            return shown
        if self._word and _may_break(self._word[-1], char):
            shown = self._place()
            self._word, self._word_goes_on = char, False
            return shown
        self._word += char
        if cell_len(self._word) < self._columns():
            return ""
        # A word longer than a line is shown at once; the terminal breaks it.
        shown = self._place()
        self._word_goes_on = True
        return shown

    def _place(self) -> str:
        """Put the word held back onto this line, or the next."""
        if not self._word:
            return ""
        if self._line_begins and self._word.startswith(_FENCE):
            self._verbatim = not self._verbatim
        shown, width, columns = f"{self._spaces}{self._word}", cell_len(self._word), self._columns()
        self._column += len(self._spaces.expandtabs()) + width
        may_end = self._column > width and not self._verbatim and not self._word_goes_on
        if self._column > columns and may_end:
            shown, self._column = f"\n{self._word}", width
        if self._column > columns:
            self._column = (self._column - 1) % columns + 1
        self._word, self._spaces, self._line_begins = "", "", False
        return shown


def printable(text: str) -> str:
    """The text without control characters, which would act on a terminal."""
    return "".join(char for char in text if _is_shown(char))


def _is_shown(char: str) -> bool:
    # Cc are C0 and C1 controls, of which an escape sequence begins with one.
    return char in "\n\t" or unicodedata.category(char) != "Cc"


def _may_break(before: str, char: str) -> bool:
    """Whether a line may end between two characters that are no spaces."""
    if (
        unicodedata.category(char) in _NOT_FIRST
        or cell_len(char) == 0
        or before == _ZERO_WIDTH_JOINER
    ):
        return False
    if char in _SKIN_TONES or (before in _FLAG_LETTERS and char in _FLAG_LETTERS):
        return False
    return _is_ideograph(before) or _is_ideograph(char)


def _is_ideograph(char: str) -> bool:
    """Whether a character is of a script without spaces, or an emoji."""
    return cell_len(char) == 2
