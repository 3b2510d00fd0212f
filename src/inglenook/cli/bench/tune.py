"""``inglenook tune``: find the fastest settings for this board, and store them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from inglenook.cli.terminal.output import note
from inglenook.cli.terminal.table import print_table
from inglenook.common.errors import StartupError
from inglenook.common.private_files import locked
from inglenook.config import load_config
from inglenook.daemon.statefolder import holder_of, make_private_folder
from inglenook.engine.measure import Gauge
from inglenook.engine.search import Result, Search
from inglenook.engine.trial import STREAMS, Speed, TrialSetting, Unusable
from inglenook.models.board_identity import read_board
from inglenook.models.info import ModelInfo
from inglenook.models.inspect import CHECK_ARGUMENT, can_map, inspect_model, resolve_model
from inglenook.models.tuning import Tuning, write_tuning

#: Limit of all trials together, once the model is loaded.
_BUDGET_S = 60.0

#: Storing takes milliseconds.
_LOCK_WAIT_S = 5.0

_COLUMNS = (
    "threads",
    "ubatch",
    "flash attention",
    "KV type",
    "prompt",
    "reads tok/s",
    "writes tok/s",
    f"{STREAMS} at once tok/s",
)


def tune(args: argparse.Namespace) -> None:
    """Print a row for every measured setting, and store the best."""
    config = load_config(args.config, os.environ)
    if args.model is not None:
        info = inspect_model(args.model, remedy=CHECK_ARGUMENT)
    else:
        info = inspect_model(resolve_model(config.model.path, config.state_dir / "models"))
    _refuse_beside_daemon(config.state_dir)
    make_private_folder(config.state_dir)
    with _display() as display, _gauge(info.path, display) as gauge:
        search = Search(gauge.load())
        faults = run_search(search, gauge, display, _BUDGET_S)
    best = search.best
    tuning = Tuning(best.threads, best.ubatch_tokens, best.flash_attention, search.kv_type)
    _keep(config.state_dir, info, tuning)
    print_table(_COLUMNS, [row(result) for result in search.results])
    for line in (*faults, *verdict(search)):
        note(line)
    if config.engine.threads is not None:
        note(
            f"engine.threads is set to {config.engine.threads}, so none of this is in force; "
            "write auto there, or leave it out"
        )


def _gauge(model: Path, display: Display) -> Gauge:
    return Gauge(model, display.loading, use_mmap=can_map(model))


def _keep(state_dir: Path, info: ModelInfo, tuning: Tuning) -> None:
    """Store a tuning; other processes may store those of other models at the same time."""
    try:
        with locked(state_dir / "tuning.json", _LOCK_WAIT_S):
            write_tuning(state_dir, info, read_board(), tuning)
    except OSError as exc:
        raise StartupError(f"the result cannot be stored in {state_dir}: {exc.strerror}") from exc


class Display(Protocol):
    """The progress display."""

    def loading(self, fraction: float) -> None:
        """Show the loading's progress, 0 to 1."""

    def measuring(self, question: str, fraction: float) -> None:
        """Show the question, and the used fraction of the time, 0 to 1."""


def run_search(search: Search, gauge: Gauge, display: Display, budget_s: float) -> list[str]:
    """Run the search's trials until it ends or time is up; returns the faults.

    Raises:
        StartupError: If not even the default could be measured.
    """
    faults: list[str] = []
    began_s = time.monotonic()
    while search.wanted is not None:
        gone = (time.monotonic() - began_s) / budget_s
        if gone >= 1 and search.results:
            return [*faults, f"time ran out before it was known {search.question}"]
        display.measuring(search.question, min(gone, 1.0))
        trial = search.wanted
        answer = gauge.measure(trial)
        if isinstance(answer, Unusable):
            if trial.setting == search.default:
                raise StartupError(f"the model cannot be measured: {answer.why}")
            faults.append(f"{_named(trial.setting, search.default)}: {answer.why}")
        search.tell(None if isinstance(answer, Unusable) else answer)
    return faults


def row(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    setting, speed = result.trial.setting, result.speed
    speeds = ("failed", "", "")
    if speed is not None:
        figures = (speed.read_tok_s, speed.write_tok_s, speed.write_many_tok_s)
        speeds = (f"{figures[0]:.1f}", f"{figures[1]:.1f}", f"{figures[2]:.1f}")
    return (
        str(setting.threads),
        str(setting.ubatch_tokens),
        "on" if setting.kv_type != "f16" else setting.flash_attention,
        setting.kv_type,
        str(result.trial.workload.read_tokens),
        *speeds,
    )


def verdict(search: Search) -> list[str]:
    """The gain, in sentences."""
    best, default = search.best, search.default
    if best == default:
        lines = [f"the default of {default.threads} threads stays: nothing was clearly faster"]
    else:
        lines = [
            f"{_named(best, default)}: {_compared(search.gain)} "
            f"than the default of {_named(default, best)}"
        ]
    if search.kv_gain is not None:
        end = "f16 stays" if search.kv_type == "f16" else "`model.kv_type: auto` uses it"
        lines.append(
            f"KV type q8_0: {_compared(search.kv_gain)} than f16 after {search.deep_tokens} "
            f"tokens; {end}"
        )
    return [*lines, "stored; the daemon uses it from its next start on"]


def _compared(speeds: tuple[Speed, Speed] | None) -> str:
    assert speeds is not None
    before, after = speeds
    return ", ".join(
        (
            f"reads {_percent(after.read_tok_s / before.read_tok_s)}",
            f"writes {_percent(after.write_tok_s / before.write_tok_s)}",
            f"{STREAMS} at once {_percent(after.write_many_tok_s / before.write_many_tok_s)}",
        )
    )


def _percent(ratio: float) -> str:
    change = round(100 * (ratio - 1))
    return f"{abs(change)} % {'slower' if change < 0 else 'faster'}"


def _named(setting: TrialSetting, other: TrialSetting) -> str:
    """A setting by its differences to another."""
    parts = {
        f"{setting.threads} threads": setting.threads != other.threads,
        f"ubatch {setting.ubatch_tokens}": setting.ubatch_tokens != other.ubatch_tokens,
        f"flash attention {setting.flash_attention}": (
            setting.flash_attention != other.flash_attention
        ),
        f"KV type {setting.kv_type}": setting.kv_type != other.kv_type,
    }
    return ", ".join(part for part, differs in parts.items() if differs)


def _refuse_beside_daemon(state_dir: Path) -> None:
    """Check that no daemon computes on the same cores.

    Raises:
        StartupError: If one runs with this state, or that is unknown.
    """
    holder = holder_of(state_dir)
    if holder is not None and holder.is_daemon:
        raise StartupError(
            f"the daemon is running with the state in {state_dir} and would spoil the figures; "
            "stop it, tune, and start it again"
        )


class _Lines:
    """Progress in a log: a line for each new step."""

    def __init__(self) -> None:
        self._last = ""

    def loading(self, _fraction: float) -> None:
        self._say("reading the model")

    def measuring(self, question: str, _fraction: float) -> None:
        self._say(f"measuring {question}")

    def _say(self, line: str) -> None:
        if line != self._last:
            note(line)
        self._last = line


class _Bar:
    """Progress on a terminal."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("reading the model", total=1.0)

    def loading(self, fraction: float) -> None:
        self._bars.update(self._task, description="reading the model", completed=fraction)

    def measuring(self, question: str, fraction: float) -> None:
        # Drawn at once: a fast board is done before the next refresh.
        description = f"measuring {question}"
        self._bars.update(self._task, description=description, completed=fraction, refresh=True)


@contextmanager
def _display() -> Iterator[Display]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bar(bars)
