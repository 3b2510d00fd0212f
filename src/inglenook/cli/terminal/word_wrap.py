"""Text that comes piece by piece, for a terminal: lines break at spaces, and no control acts."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from rich.cells import cell_len

#: Unicode categories of what must not begin a line: closing marks, other marks, and signs such as
#: the Japanese one for a long vowel.
_NOT_FIRST = ("Pe", "Pf", "Po", "Lm")

_ZERO_WIDTH_JOINER = "\u200d"

#: They belong to the picture before them.
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))

#: Two of them are a flag.
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))

_FENCE = "```"


class WordWrap:
    """Breaks lines at spaces, and between characters of scripts that have none.

    A word is held back until it is whole. Code between fences is left as it is: a break in it
    would be in what somebody copies.
    """

    def __init__(self, columns: Callable[[], int]) -> None:
        """``columns`` tells how wide the terminal is now."""
        self._columns = columns
        self._column = 0
        self._spaces = ""
        self._word = ""
        self._word_goes_on = False
        self._line_begins = True
        self._verbatim = False

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the current line."""
        return self._column == 0 and not self._word and not self._spaces

    def feed(self, text: str) -> str:
        """Take more text; returns what can be shown now."""
        return "".join(self._take(char) for char in text if _is_shown(char))

    def pause(self) -> str:
        """Returns the word held back as far as it is; if it goes on, its line does too."""
        shown = self._place()
        self._word_goes_on = self._word_goes_on or bool(shown)
        return shown

    def finish(self) -> str:
        """Returns what was still held back."""
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
        # One that no line can hold is not worth waiting for; the terminal breaks it.
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
    """Leave out what would act on a terminal instead of being shown."""
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
    """Whether it belongs to writing without spaces, or is a picture."""
    return cell_len(char) == 2
