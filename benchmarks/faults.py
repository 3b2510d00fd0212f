"""Does everything to answers that a phone, a network or a crash can do, and prints what was lost.

Run as ``python -m benchmarks.faults``; ``--quick`` does less of everything. Exit code 1 if
anything was lost or repeated, or an answer did not end as it would have. Kind: hands.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.card import write_hour
from benchmarks.flood import flood
from benchmarks.household import MODELS_DIR, House, running_house
from benchmarks.scenarios import (
    OVERTAKEN_MAX,
    Tally,
    crowd,
    cut_sockets,
    kills,
    long_run,
    power_cuts,
    same_key,
)
from benchmarks.scenarios_disk import full_disk, model_gone, slow_card
from benchmarks.scenarios_start import overlapping_starts
from benchmarks.scenarios_strangers import strangers
from benchmarks.slow_card import SlowCard
from inglenook.common.units import format_bytes
from inglenook.models.starter import pull_starter

#: Bounds on the notes; docs/limits.md promises them.
_BOUNDS: dict[str, Callable[[Any], bool]] = {
    "generations": lambda count: count == 1,
    "overtaken": lambda count: count <= OVERTAKEN_MAX,
    "jain": lambda index: index >= 0.95,
    "refused": lambda count: count == 0,
    "rss_growth_bytes": lambda count: count < 30_000_000,
    "late frames while the card was busy": lambda count: count == 0,
}

_CARD_DIR = Path(__file__).parents[1] / ".state"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each."""

    cut_tokens: int
    engine_kills: int
    daemon_kills: int
    power_cuts: int
    long_run_s: float
    idle_rounds: int
    card_s: int
    starts: int
    full_disks: int
    models_gone: int
    slow_card_s: float
    strangers_s: float


_FULL = Plan(100, 50, 20, 5, 60.0, 6, 3600, 20, 10, 10, 120.0, 600.0)
_QUICK = Plan(16, 4, 3, 1, 30.0, 2, 360, 4, 2, 2, 30.0, 20.0)

#: What is counted does not depend on speed, and other programs want the other cores.
_THREADS = 1

#: What a slow SD card takes for a sync beside other writes.
_SYNC_S = 0.7


def main() -> int:
    """Run everything; print a line as each is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    plan = _QUICK if parser.parse_args().quick else _FULL
    print(
        f"{'fault':40} {'times':>6} {'answers':>8} {'lost':>5} {'repeated':>9} {'as expected':>12}"
    )
    runs: list[tuple[Callable[[House], Coroutine[Any, Any, Tally]], int]] = [
        (lambda box: cut_sockets(box, plan.cut_tokens), 8),
        (lambda box: kills(box, "engine", plan.engine_kills, tokens=120, seed=1), 8),
        (lambda box: kills(box, "daemon", plan.daemon_kills, tokens=120, seed=2), 8),
        (lambda box: power_cuts(box, plan.power_cuts, tokens=100), 8),
        (lambda box: same_key(box, 3, 32), 8),
        (lambda box: crowd(box, 20, 3, places=8, tokens=32), 8),
        (lambda box: long_run(box, plan.long_run_s), 2),
        (lambda box: full_disk(box, plan.full_disks, tokens=120, seed=4), 8),
        (lambda box: flood(box, idle=200, deaf=8, tokens=60, rounds=plan.idle_rounds), 8),
        (lambda box: overlapping_starts(box, plan.starts), 8),
        (lambda box: strangers(box, plan.strangers_s), 8),
    ]
    tallies = []
    for scenario, places in runs:
        engine = {"threads": _THREADS, "max_sequences": places}
        with running_house({"engine": engine}) as house:
            tallies.append(asyncio.run(scenario(house)))
        _print(tallies[-1])
    for tally in (_model_gone(plan.models_gone), _slow_card(plan.slow_card_s)):
        tallies.append(tally)
        _print(tally)
    _print_card(plan.card_s)
    return 0 if all(_holds(tally) for tally in tallies) else 1


def _model_gone(times: int) -> Tally:
    """Its model is a link in a folder of its own, which may be moved away."""
    with tempfile.TemporaryDirectory(prefix="drive") as folder:
        starter = asyncio.run(pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None))
        model = Path(folder) / starter.name
        model.symlink_to(starter)
        engine = {"threads": _THREADS, "max_sequences": 8}
        with running_house({"engine": engine, "model": {"path": str(model)}}) as house:
            return asyncio.run(model_gone(house, model, times, tokens=120, seed=5))


def _slow_card(duration_s: float) -> Tally:
    """Each sync of a file of the daemon's takes 0.7 s longer."""
    with tempfile.TemporaryDirectory(prefix="card") as folder:
        card = SlowCard(Path(folder), "/", delay_s=_SYNC_S)
        settings = {
            "engine": {"threads": _THREADS, "max_sequences": 8},
            "serving": {"resume_ttl": "5s"},
        }
        with running_house(settings, card.environ) as house:
            return asyncio.run(slow_card(house, card, duration_s, tokens=100))


def _print(tally: Tally) -> None:
    print(
        f"{tally.fault:40} {tally.times:6} {tally.answers:8} {tally.lost:5} {tally.repeated:9}"
        f" {tally.as_expected:12}"
    )
    for name, value in tally.notes.items():
        print(f"    {name}: {value}")
    sys.stdout.flush()


def _print_card(duration_s: int) -> None:
    print(f"\nWhat {duration_s / 3600:g} h of streaming one answer after the other writes:")
    for frames_s in (8, 30):
        written = write_hour(_CARD_DIR, frames_s=frames_s, duration_s=duration_s)
        print(
            f"    {frames_s:2} frames a second: {format_bytes(written.shown_bytes)} of text,"
            f" {format_bytes(written.handed_bytes)} handed to the kernel,"
            f" {format_bytes(written.card_bytes)} to the card"
        )


def _holds(tally: Tally) -> bool:
    return tally.good and all(
        _BOUNDS[name](value) for name, value in tally.notes.items() if name in _BOUNDS
    )


if __name__ == "__main__":
    sys.exit(main())
