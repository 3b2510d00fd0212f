"""What ``inglenook doctor`` found, a line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Verdict(StrEnum):
    """How something is: as it should be; worth knowing; or broken, with what to do in the text."""

    OK = "ok"
    WARNING = "warning"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at.

    Attributes:
        what: What it is.
        text: How it is, and what to do about it if anything.
    """

    verdict: Verdict
    what: str
    text: str


_MARKS = {
    Verdict.OK: ("✓", "green"),
    Verdict.WARNING: ("!", "yellow"),
    Verdict.FIX: ("✗", "bold red"),
}


def ok(what: str, text: str) -> Line:
    """Say that something is as it should be."""
    return Line(Verdict.OK, what, text)


def warning(what: str, text: str) -> Line:
    """Say that something is worth knowing."""
    return Line(Verdict.WARNING, what, text)


def fix(what: str, text: str) -> Line:
    """Say that something is broken."""
    return Line(Verdict.FIX, what, text)


def print_section(title: str, lines: Sequence[Line]) -> None:
    """Print what belongs together; into a pipe, one line each with tabs between, and no title."""
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in lines:
            print(line.verdict, line.what, line.text, sep="\t")
        return
    Console().print(drawn(title, lines), "")


def drawn(title: str, lines: Sequence[Line]) -> Table:
    """Draw a section for a terminal."""
    table = Table(
        box=None, show_header=False, title=Text(title, "bold"), title_justify="left", pad_edge=False
    )
    table.add_column(width=1)
    table.add_column(width=20, overflow="fold")
    table.add_column()
    for line in lines:
        mark, style = _MARKS[line.verdict]
        # As Text, since a name may hold what rich would take for markup.
        table.add_row(Text(mark, style), Text(line.what, "dim"), Text(line.text))
    return table
