"""Results as tables for people and as JSON for later. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from benchmarks.speed.result import Claim, Figure, Result

#: What stands between these in a page is written anew.
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

PICTURE = "![Speed, stalls and first texts](images/benchmarks.png)\n"


@dataclass(frozen=True, slots=True)
class Run:
    """A result, and how it came about.

    Attributes:
        date: Day it was measured, ISO.
        command: What was typed.
        machine: What it was measured on and with.
    """

    result: Result
    date: str
    command: str
    machine: dict[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """The latest run of each scenario on each model."""

    runs: list[Run] = field(default_factory=list)

    def with_run(self, run: Run) -> Report:
        """Add one, or put it in the place of an earlier one of the same."""
        runs = {(r.result.scenario, r.result.model): r for r in [*self.runs, run]}
        return Report(list(runs.values()))


def to_json(report: Report) -> bytes:
    """For a file that people may look into."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def from_json(data: bytes) -> Report:
    """Read what `to_json` wrote."""
    return msgspec.json.decode(data, type=Report)


def result_tables(result: Result) -> str:
    """The tables of one result, in Markdown."""
    columns = list(dict.fromkeys(figure.who for figure in result.figures))
    cells: dict[str, dict[str, str]] = {}
    for figure in result.figures:
        cells.setdefault(figure.what, {})[figure.who] = _cell(figure)
    rows = [[what, *(row.get(column, "") for column in columns)] for what, row in cells.items()]
    tables = [_table(["", *columns], rows)]
    if result.claims:
        claims = [_claim_row(claim) for claim in result.claims]
        tables.append(_table(["what should hold", "is", "should be", ""], claims))
    return "\n".join(tables)


def page_part(report: Report) -> str:
    """Everything, in Markdown: a chapter a scenario, then the machines."""
    parts = [PICTURE]
    for scenario in dict.fromkeys(run.result.scenario for run in report.runs):
        parts.append(f"## {scenario}\n")
        for run in report.runs:
            if run.result.scenario == scenario:
                rounds = len(run.result.figures[0].rounds)
                parts.append(f"**{run.result.model}**, median of {rounds}, {run.date}\n")
                parts.append(result_tables(run.result))
    return "\n".join([*parts, *_machines(report.runs)])


def put_into(page: str, part: str) -> str:
    """Replace what stands between the marks of a page.

    Raises:
        ValueError: If it has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


def number(value: float) -> str:
    """Three figures; more digits would say more than was measured."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def _cell(figure: Figure) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    low, high = number(min(figure.rounds)), number(max(figure.rounds))
    spread = f" ({low} to {high})" if low != high else ""
    return f"{number(figure.median)}{unit}{spread}"


def _claim_row(claim: Claim) -> list[str]:
    bound = f"{'≥' if claim.at_least else '≤'} {number(claim.bound)}"
    return [claim.text, number(claim.value), bound, "yes" if claim.holds else "**no**"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _machines(runs: Sequence[Run]) -> list[str]:
    """On what and how each was measured, each machine and command once."""
    parts = ["## Measured with\n"]
    by_machine: dict[str, list[str]] = {}
    for run in runs:
        table = _table(["", ""], [[name, what] for name, what in _lasting(run.machine)])
        commands = by_machine.setdefault(table, [])
        if run.command not in commands:
            commands.append(run.command)
    for table, commands in by_machine.items():
        parts += [table, *(f"    {command}" for command in commands), ""]
    return parts


def _lasting(machine: dict[str, str]) -> Iterable[tuple[str, str]]:
    return ((name, what) for name, what in machine.items() if not name.startswith("load"))
