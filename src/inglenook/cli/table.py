"""Tables on stdout: pretty for people, plain for pipes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; into a pipe, one line a row with tabs between, and no heading."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        # As Text, since a name may hold what rich would take for markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
