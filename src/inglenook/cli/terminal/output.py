"""Sentences on stdout and stderr: broken at spaces on a terminal, one line each in a pipe."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from inglenook.cli.invocation import as_typed

#: A space with an even number of backticks behind it.
_OUTSIDE_BACKTICKS = re.compile(r" (?=(?:[^`]*`[^`]*`)*[^`]*$)")

#: Control characters except tab and line feed, which act on a terminal. Printed text quotes
#: others, such as servers.
_ACTING = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")})

#: For terminals that do not know their own size.
_COLUMNS = 80

#: A narrower terminal would show one word a line.
_COLUMNS_LEAST = 20


def say(text: str = "", *, first: str = "", rest: str = "") -> None:
    """Print a result.

    Args:
        text: Its lines; commands in it are rewritten as they work here.
        first: Before the first line.
        rest: Before the other lines, where a terminal is too narrow for one.
    """
    print(_laid_out(sys.stdout, text, first, rest), flush=True)


def note(text: str, *, first: str = "", rest: str = "", end: str = "\n") -> None:
    """Print to stderr, as `say` does, text that is not the result."""
    print(_laid_out(sys.stderr, text, first, rest), end=end, file=sys.stderr, flush=True)


def columns_of(stream: TextIO) -> int | None:
    """The width of a terminal in columns; None if the stream is none."""
    if not stream.isatty():
        return None
    wished = os.environ.get("COLUMNS", "")
    if wished.isdecimal() and int(wished) > 0:
        return max(int(wished), _COLUMNS_LEAST)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return max(columns or _COLUMNS, _COLUMNS_LEAST)


def broken(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    """Break lines at spaces so that none is wider than ``columns``, except single words.

    A command in backticks stays on one line if it fits, so that it can be copied.
    """
    from rich.cells import cell_len

    def words_of(line: str) -> Iterator[str]:
        for word in _OUTSIDE_BACKTICKS.split(line):
            yield from [word] if cell_len(rest + word) <= columns else word.split(" ")

    lines: list[str] = []
    before = first
    for given in text.split("\n"):
        line, is_empty = before, True
        for word in words_of(given):
            joint = "" if is_empty else " "
            too_wide = cell_len(line + joint + word) > columns
            # A label alone is better than a word that the terminal breaks.
            if too_wide and (not is_empty or (line.strip() and len(line) > len(rest))):
                lines.append(line.rstrip())
                line, joint = rest, ""
            line, is_empty = line + joint + word, False
        lines.append(line.rstrip())
        before = rest
    return lines


class LineFormatter(logging.Formatter):
    """Log lines for stderr, laid out as everything else there.

    Attributes:
        before: Printed before each line, such as a control that clears the terminal's line.
    """

    before = ""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a line that is broken at spaces."""
        return self.before + _laid_out(sys.stderr, super().format(record), "", "  ")


def _laid_out(stream: TextIO, text: str, first: str, rest: str) -> str:
    text = as_typed(text.translate(_ACTING))
    columns = columns_of(stream)
    if columns is None:
        return first + text
    return "\n".join(broken(text, columns, first, rest))
