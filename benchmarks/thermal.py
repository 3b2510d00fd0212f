"""Runs four simulated boards for two hours in three rooms, in four ways, and prints the tables.

Run as ``python -m benchmarks.thermal``; ``--plots FOLDER`` draws as well. Exit code 1 if the
governor let a board be slowed, wrote less than 95 % of the best constant load, swung faster than
once a minute, or was slow to recover. Kind: hands.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plant import BOARDS, N100_FANLESS, PI5_BARE, RK3588_PASSIVE, Board, Plant
from benchmarks.recovery import Recovery, Relief, recover
from benchmarks.regimes import (
    ANSWERS,
    CAPACITY,
    Course,
    FixedThresholds,
    Governed,
    Regime,
    Setting,
    best_constant,
    clocked,
    constant,
    run,
    tokens_per_s,
)
from inglenook.common.errors import StartupError

SECONDS = 7200
ROOMS_C = (20.0, 30.0, 40.0)
ENOUGH = 0.95
CALM_S = 60.0

#: After two minutes, of what a law could write by then that knew everything.
RECOVERED = 0.85

#: What becomes less on which board: 20 °C of the room, and the heat of other programs.
WINDOW = Relief("a window is opened, 40 to 20 °C", 40.0, 20.0)
RELIEFS = tuple(
    (board, relief)
    for board, room_c, other_w in (
        (PI5_BARE, 20.0, 1.2),
        (RK3588_PASSIVE, 35.0, 2.0),
        (N100_FANLESS, 35.0, 4.0),
    )
    for relief in (
        WINDOW,
        Relief(f"{other_w:g} W of others end, {room_c:.0f} °C", room_c, room_c, other_w),
    )
)

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
        """Whether the governor kept its promises."""
        governed = self.courses["governor"], self.courses["governor, clock"]
        return all(
            course.throttled_s == 0
            and course.tokens >= ENOUGH * best
            and course.fastest_s >= CALM_S
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
                "governor, clock": Governed(clocked(board)),
            }
            courses = {
                name: run(Plant(board, room_c), regime, SECONDS) for name, regime in regimes.items()
            }
            best = [
                tokens_per_s(board, best_constant(board, room_c, capacity)) * SECONDS
                for capacity in (CAPACITY, clocked(board))
            ]
            yield Cell(board, room_c, courses, (best[0], best[1]))


def table(results: list[Cell]) -> Iterator[str]:
    """Write the rows of docs/thermal.md."""
    names = list(results[0].courses)
    yield f"| board | room | {' | '.join(names)} | of the best constant load | turns |"
    yield "|---|---|" + "---|" * len(names) + "---|---|"
    for cell in results:
        governed = [cell.courses[name] for name in ("governor", "governor, clock")]
        told = " | ".join(_told(cell.courses[name]) for name in names)
        of_best = " / ".join(
            f"{100 * course.tokens / best:.0f} %"
            for course, best in zip(governed, cell.best, strict=True)
        )
        turns = " / ".join(_seconds(course.fastest_s) for course in governed)
        yield (f"| {cell.board.name} | {cell.room_c:.0f} °C | {told} | {of_best} | {turns} |")


def recoveries() -> Iterator[tuple[Board, Relief, list[Recovery]]]:
    """Run the boards that are held back through less heat, without and with a clock."""
    for board, relief in RELIEFS:
        yield board, relief, [recover(board, way, relief) for way in (CAPACITY, clocked(board))]


def recovery_table(results: list[tuple[Board, Relief, list[Recovery]]]) -> Iterator[str]:
    """Write those of its second table."""
    yield (
        "| board | what becomes less | at 90 % after | after 2 minutes | governor, clock: at 90 %"
        " after | after 2 minutes |"
    )
    yield "|---|---|---|---|---|---|"
    for board, relief, ways in results:
        told = " | ".join(
            f"{way.seconds} s ({way.soonest_s} s) | {100 * way.soon:.0f} %"
            f" ({100 * way.soonest:.0f} %)"
            for way in ways
        )
        yield f"| {board.name} | {relief.name} | {told} |"


def _recovered(recovery: Recovery) -> bool:
    return (
        recovery.course.throttled_s == 0
        and recovery.course.fastest_s >= CALM_S
        and recovery.soon >= RECOVERED * recovery.soonest
    )


def _seconds(seconds: float) -> str:
    return "none" if seconds == math.inf else f"{seconds:.0f} s"


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
    relieved = list(recoveries())
    print("\n".join(["", *recovery_table(relieved)]))
    if options.plots is not None:
        try:
            draw(results, options.plots)
        except StartupError as error:
            print(error, file=sys.stderr)
            return 1
    good = all(cell.good for cell in results) and all(
        _recovered(way) for _board, _relief, ways in relieved for way in ways
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
