"""Measures how fast answers are: ``python -m benchmarks``.

It runs the daemon, llama.cpp's own server and a bare loop over the library on the same model, with
the same threads and the same pool, in turns, and compares them. Kind: hands.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.household import MODELS_DIR
from benchmarks.shape_model import shape_model
from benchmarks.speed.grammar import grammar
from benchmarks.speed.machine import describe
from benchmarks.speed.neighbour import neighbour
from benchmarks.speed.plot import draw
from benchmarks.speed.report import (
    Report,
    Run,
    from_json,
    page_part,
    put_into,
    result_tables,
    to_json,
)
from benchmarks.speed.result import Bench, Lengths, Result
from benchmarks.speed.servers import Setting
from benchmarks.speed.speculation import speculation
from benchmarks.speed.stall import stall
from benchmarks.speed.steps import steps
from benchmarks.speed.stream import Unmeasurable
from benchmarks.speed.throughput import crowd, throughput
from benchmarks.speed.turns import sharing, turns
from benchmarks.speed.typed import typed
from inglenook.common.errors import InglenookError
from inglenook.engine.cores import compute_cores
from inglenook.models.starter import pull_starter

_SCENARIOS: dict[str, Callable[[Bench], Result]] = {
    "throughput": throughput,
    "stall": stall,
    "turns": turns,
    "sharing": sharing,
    "typed": typed,
    "crowd": crowd,
    "neighbour": neighbour,
    "speculation": speculation,
    "grammar": grammar,
    "steps": steps,
}

#: Seconds a round takes on two x86 cores, with a small model and with a larger one.
_ROUND_S = {
    "throughput": (65, 170),
    "stall": (10, 30),
    "turns": (20, 45),
    "sharing": (8, 26),
    "typed": (22, 26),
    "crowd": (105, 120),
    "neighbour": (30, 40),
    "speculation": (6, 10),
    "grammar": (6, 9),
    "steps": (8, 15),
}

#: Models of less are small: they write some 100 tokens a second, larger ones some 25.
_SMALL_BYTES = 300_000_000
_SMALL, _LARGE = Lengths(answer=128, crowd=64), Lengths(answer=96, crowd=16)


def main() -> int:
    """Run what the command line names; returns 1 if something could not be measured."""
    args = _parser().parse_args()
    # Ended from outside, it takes the servers it has started with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    models: list[Path] = args.model or _models()
    threads = args.threads or len(compute_cores())
    names = args.scenario or list(_SCENARIOS)
    _say_estimate(names, models, args.rounds)
    report, failed = _earlier(args.write), False
    for model in models:
        setting = Setting(model, threads, args.llama_server)
        lengths = _SMALL if model.stat().st_size < _SMALL_BYTES else _LARGE
        bench = Bench(setting, lengths, args.rounds, _say)
        for name in names:
            try:
                machine = describe(setting)
                result = _SCENARIOS[name](bench)
            except (InglenookError, TimeoutError) as exc:
                _say(f"{name} on {model.stem} was not measured: {exc}")
                failed = True
                continue
            print(f"\n{name}, {model.stem}\n\n{result_tables(result)}", flush=True)
            report = report.with_run(Run(result, _today(), _command(), machine))
            if args.write is not None:
                _write(report, args.write)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure how fast answers are."
    )
    parser.add_argument(
        "scenario", nargs="*", choices=[*_SCENARIOS, []], help=f"{', '.join(_SCENARIOS)} (all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        metavar="PATH",
        help="a GGUF file; may be given again (the starter, and one of the shape of Qwen2-1.5B)",
    )
    parser.add_argument("--threads", type=int, help="compute threads (one a fast core)")
    parser.add_argument(
        "--llama-server",
        type=Path,
        metavar="PATH",
        help="llama.cpp's own server (the one in the xllamacpp wheel)",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="bring FOLDER/benchmarks.md up to date"
    )
    return parser


def _models() -> list[Path]:
    starter = asyncio.run(pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None))
    return [starter, shape_model()]


def _say_estimate(names: list[str], models: list[Path], rounds: int) -> None:
    total_s = 0
    for model in models:
        column = 0 if model.stat().st_size < _SMALL_BYTES else 1
        total_s += rounds * sum(_ROUND_S[name][column] for name in names)
    _say(f"this takes about {max(total_s // 60, 1)} min on two x86 cores; leave them alone")


def _earlier(folder: Path | None) -> Report:
    path = folder / "benchmarks.json" if folder is not None else None
    return from_json(path.read_bytes()) if path is not None and path.exists() else Report()


def _write(report: Report, folder: Path) -> None:
    """Write figures, page and picture; at once, since a later scenario may take the box down."""
    (folder / "benchmarks.json").write_bytes(to_json(report))
    page = folder / "benchmarks.md"
    page.write_text(put_into(page.read_text(), page_part(report)))
    (folder / "images").mkdir(exist_ok=True)
    try:
        draw(report, folder / "images" / "benchmarks.png")
    except Unmeasurable as exc:
        _say(str(exc))


def _command() -> str:
    """What was typed; of files elsewhere on this machine the name alone."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks", *words])


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
