"""Tables on stdout: pretty for people, plain for pipes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inglenook.cli.terminal.output import broken, columns_of

#: Columns that `rich.box.SIMPLE` has between two cells, and around a row.
_BETWEEN, _AROUND = 2, 2


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; into a pipe, one line a row with tabs between, and no heading.

    No cell is cut and no word broken: on a narrow terminal each row is a paragraph.
    """
    given = [list(row) for row in rows]
    width = columns_of(sys.stdout)
    if width is None:
        for row in given:
            print("\t".join(row))
        return
    # A heading may have several lines, a cell has one.
    widths = [
        max(map(cell_len, (*heading.split(), *cells)), default=0)
        for heading, *cells in zip(columns, *given, strict=True)
    ]
    if sum(widths) + _BETWEEN * len(widths) + _AROUND > width:
        _print_paragraphs(columns, given, width)
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for heading, least in zip(columns, widths, strict=True):
        table.add_column(heading, min_width=least)
    for row in given:
        # As Text, since a name may hold what rich would take for markup.
        table.add_row(*(Text(cell, no_wrap=True) for cell in row))
    Console(width=width).print(table)


def _print_paragraphs(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> None:
    longest = max(map(cell_len, columns))
    for row in rows:
        print()
        for heading, cell in zip(columns, row, strict=True):
            if cell:
                label = f"{heading:{longest}}  "
                print("\n".join(broken(cell, width, label, "  ")))
    print()
