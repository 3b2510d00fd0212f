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

#: Acts on a terminal instead of being shown: all control characters but tab and line feed. Much of
#: what is printed quotes others, such as what answers at an address.
_ACTING = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")})

#: Where no terminal tells, as in a terminal that does not know its own size.
_COLUMNS = 80

#: Narrower than this a word a line would be left.
_COLUMNS_LEAST = 20


def say(text: str = "", *, first: str = "", rest: str = "") -> None:
    """Print a result.

    Args:
        text: Its lines; commands in it are shown as they work here.
        first: What stands before the text.
        rest: What its other lines begin with, where a terminal is too narrow for one.
    """
    print(_laid_out(sys.stdout, text, first, rest), flush=True)


def note(text: str, *, first: str = "", rest: str = "", end: str = "\n") -> None:
    """Print, as `say` does, what is not the result: to stderr."""
    print(_laid_out(sys.stderr, text, first, rest), end=end, file=sys.stderr, flush=True)


def columns_of(stream: TextIO) -> int | None:
    """How wide a terminal is; None for what is none."""
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
    """Break lines at their spaces so that none is wider; one word alone may be.

    A command in backticks stays in one line if it fits one, so that it can be copied.
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
        before: What each line begins with, such as what clears a line of the terminal.
    """

    before = ""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return self.before + _laid_out(sys.stderr, super().format(record), "", "  ")


def _laid_out(stream: TextIO, text: str, first: str, rest: str) -> str:
    text = as_typed(text.translate(_ACTING))
    columns = columns_of(stream)
    if columns is None:
        return first + text
    return "\n".join(broken(text, columns, first, rest))
