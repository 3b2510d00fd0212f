"""The doctor's results, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from inglenook.cli.invocation import as_typed
from inglenook.cli.terminal.output import broken, columns_of


class Verdict(StrEnum):
    """The verdict of a check: well; worth knowing; or broken, with the remedy in the text."""

    OK = "ok"
    WARNING = "warning"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        what: What was checked.
        text: The result, and the remedy if there is one.
        tells: The check can fail; else a terminal shows no tick.
    """

    verdict: Verdict
    what: str
    text: str
    tells: bool = True


#: Columns of a mark with its space, and of the label if the text is beside it.
_MARK, _LABEL = 2, 20

#: On a narrower terminal the texts are below their labels: beside, they would have no room.
_WIDE = 60

_MARKS = {
    Verdict.OK: ("✓", "green"),
    Verdict.WARNING: ("!", "yellow"),
    Verdict.FIX: ("✗", "bold red"),
}


def ok(what: str, text: str, *, tells: bool = True) -> CheckResult:
    """Make the result of something that is well, or absent without harm."""
    return CheckResult(Verdict.OK, what, text, tells)


def warning(what: str, text: str) -> CheckResult:
    """Make the result of something worth knowing."""
    return CheckResult(Verdict.WARNING, what, text)


def fix(what: str, text: str) -> CheckResult:
    """Make the result of something broken."""
    return CheckResult(Verdict.FIX, what, text)


def print_section(title: str, lines: Sequence[CheckResult]) -> None:
    """Print a section; into a pipe, a line a result with tabs between, and no title."""
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in lines:
            print(line.verdict, line.what, as_typed(line.text), sep="\t")
        return
    columns = columns_of(sys.stdout) or 0
    typed = [replace(line, text=as_typed(line.text)) for line in lines]
    # Soft: a path that is longer than a line stays one word, to be copied.
    Console(width=columns).print(drawn(title, typed, columns), "", soft_wrap=True)


def drawn(title: str, lines: Sequence[CheckResult], columns: int) -> Group:
    """Draw a section for a terminal: on a narrow one, each text is below its label."""
    return Group(
        Text("\n".join(broken(title, columns)), "bold"),
        *(row for line in lines for row in _rows(line, columns)),
    )


def _rows(line: CheckResult, columns: int) -> Iterator[Text]:
    mark, style = _MARKS[line.verdict] if line.tells else ("-", "dim")
    # As Text, since a name may hold what rich would take for markup.
    head = Text.assemble((mark, style), " ", (line.what, "dim"))
    is_beside = columns >= _WIDE and cell_len(line.what) <= _LABEL
    indent = " " * (_MARK + _LABEL + 1 if columns >= _WIDE else _MARK)
    texts = broken(line.text, columns, indent, indent)
    if is_beside:
        head.pad_right(len(indent) - len(head))
        yield Text.assemble(head, texts.pop(0)[len(indent) :])
    else:
        yield head
    yield from map(Text, texts)
