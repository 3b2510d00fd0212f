"""Fails unless tests have run every line and branch of the modules that hold rules or words.

    make cover

Those modules touch nothing outside, so each of their branches can be tested by a plain call. What
cannot be reached is marked ``# pragma: no cover`` with its reason beside it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import coverage

SOURCE = Path(__file__).parents[2] / "src" / "inglenook"
_KIND = re.compile(r"Kind: (rules|words)\.")


def gaps(data: coverage.Coverage) -> list[str]:
    """One line for each module that is not covered: its path, and what was not run."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        head = path.read_text(encoding="utf-8").partition("\n\n")[0]
        if not _KIND.search(head):
            continue
        _name, _statements, _excluded, missing, shown = data.analysis2(str(path))
        branches = data.branch_stats(str(path))
        partial = sorted(line for line, (total, taken) in branches.items() if taken < total)
        if missing or partial:
            where = path.relative_to(SOURCE)
            found.append(f"{where}: lines {shown or 'none'}; branches at {partial or 'none'}")
    return found


def main() -> int:
    """Print what is missing; 1 if there is anything."""
    data = coverage.Coverage()
    data.load()
    found = gaps(data)
    number = len(found)
    found.append(f"{number} modules of rules or words have lines or branches that no test runs")
    sys.stdout.write("\n".join(found) + "\n")
    return 1 if number else 0


if __name__ == "__main__":
    sys.exit(main())
