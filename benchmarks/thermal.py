"""Runs four simulated boards for two hours in three rooms, in four ways, and prints the table.

Run as ``python -m benchmarks.thermal``; ``--plots FOLDER`` draws as well. Exit code 1 if the
governor let a board be slowed, or wrote less than 95 % of the best constant load. Kind: hands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plant import BOARDS, Board, Plant
from benchmarks.regimes import (
    ANSWERS,
    CAPACITY,
    CLOCKED,
    Course,
    FixedThresholds,
    Governed,
    Regime,
    Setting,
    best_constant,
    constant,
    run,
    tokens_per_s,
)
from inglenook.errors import StartupError

SECONDS = 7200
ROOMS_C = (20.0, 30.0, 40.0)
ENOUGH = 0.95

#: One plot a board, in the room where most is to be seen.
PLOTTED = dict(zip((board.name for board in BOARDS), (20.0, 40.0, 40.0, 40.0), strict=True))


@dataclass(frozen=True)
class Cell:
    """One board in one room.

    Attributes:
        courses: By what it was run with.
        best: Tokens of the best constant load, without and with clocks.
    """

    board: Board
    room_c: float
    courses: dict[str, Course]
    best: tuple[float, float]

    @property
    def good(self) -> bool:
        """Whether the governor kept both promises."""
        governed = self.courses["governor"], self.courses["governor, clock"]
        return all(
            course.throttled_s == 0 and course.tokens >= ENOUGH * best
            for course, best in zip(governed, self.best, strict=True)
        )


def cells() -> Iterator[Cell]:
    """Run everything."""
    for board in BOARDS:
        for room_c in ROOMS_C:
            regimes: dict[str, Regime] = {
                "no control": constant(Setting(ANSWERS)),
                "fixed thresholds": FixedThresholds(),
                "governor": Governed(CAPACITY),
                "governor, clock": Governed(CLOCKED),
            }
            courses = {
                name: run(Plant(board, room_c), regime, SECONDS) for name, regime in regimes.items()
            }
            best = [
                tokens_per_s(board, best_constant(board, room_c, capacity)) * SECONDS
                for capacity in (CAPACITY, CLOCKED)
            ]
            yield Cell(board, room_c, courses, (best[0], best[1]))


def table(results: list[Cell]) -> Iterator[str]:
    """Write the rows of docs/thermal.md."""
    names = list(results[0].courses)
    yield "| board | room | " + " | ".join(names) + " | of the best constant load |"
    yield "|---|---|" + "---|" * len(names) + "---|"
    for cell in results:
        shares = [
            cell.courses[name].tokens / best
            for name, best in zip(("governor", "governor, clock"), cell.best, strict=True)
        ]
        told = " | ".join(_told(cell.courses[name]) for name in names)
        of_best = " / ".join(f"{100 * share:.0f} %" for share in shares)
        yield f"| {cell.board.name} | {cell.room_c:.0f} °C | {told} | {of_best} |"


def _told(course: Course) -> str:
    slowed = f", slowed {course.throttled_s / 60:.0f} min" if course.throttled_s else ""
    return f"{course.tokens / 1000:.0f} k, {course.peak_c:.0f} °C{slowed}"


def draw(results: list[Cell], folder: Path) -> None:
    """Draw temperature and power of the most telling room of each board.

    Raises:
        StartupError: Without matplotlib.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise StartupError(
            "Drawing needs matplotlib: pip install --group benchmark, or leave out --plots"
        ) from error
    for cell in results:
        if PLOTTED[cell.board.name] == cell.room_c:
            name = cell.board.name.lower().replace(",", "").replace(" ", "-")
            _draw_cell(plt, cell, folder / f"thermal-{name}.png")


def _draw_cell(plt: Any, cell: Cell, path: Path) -> None:
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 5.5), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    minutes = [second / 60 for second in range(SECONDS)]
    for name, course in cell.courses.items():
        above.plot(minutes, course.die_c, label=f"{name}: {_told(course)}", linewidth=1)
        rates = [sum(course.rates[at : at + 60]) / 60 for at in range(0, SECONDS, 60)]
        below.plot(range(SECONDS // 60), rates, linewidth=1)
    above.axhline(cell.board.trip_c, color="black", linestyle=":", linewidth=1)
    above.set_title(f"{cell.board.name}, room at {cell.room_c:.0f} °C, never out of questions")
    above.set_ylabel("die, °C (dotted: is slowed)")
    below.set_ylabel("tokens/s")
    below.set_xlabel("minutes")
    below.set_ylim(bottom=0)
    above.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> int:
    """Run, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="where to put the pictures")
    options = parser.parse_args()
    results = list(cells())
    print("\n".join(table(results)))
    if options.plots is not None:
        try:
            draw(results, options.plots)
        except StartupError as error:
            print(error, file=sys.stderr)
            return 1
    return 0 if all(cell.good for cell in results) else 1


if __name__ == "__main__":
    sys.exit(main())
