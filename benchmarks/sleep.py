"""Measures what a sleeping box costs, and how soon it answers.

Run as ``python -m benchmarks.sleep``; exit code 1 if something is not as it should be. It takes
some 20 minutes; leave the machine alone meanwhile. Kind: hands.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.shape_model import shape_model
from benchmarks.speed.machine import describe
from benchmarks.speed.report import put_into, result_tables
from benchmarks.speed.rest import rest
from benchmarks.speed.result import Bench, Lengths, Result
from benchmarks.speed.servers import Setting
from benchmarks.speed.waking import waking
from inglenook.common.errors import InglenookError
from inglenook.engine.cores import compute_cores

#: Of what a machine is, as much as matters here.
_MACHINE = ("board", "cores", "memory", "system", "Inglenook")


def main() -> int:
    """Measure, print, and write if the command line says so."""
    args = _parser().parse_args()
    # Ended from outside, it takes what it has started with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    setting = Setting(args.model or shape_model(), args.threads or len(compute_cores()), None)
    bench = Bench(setting, Lengths(answer=16, crowd=16), args.rounds, _say)
    try:
        results = [rest(bench), waking(bench)]
    except (InglenookError, TimeoutError) as exc:
        _say(f"not measured: {exc}")
        return 1
    part = page_part(results, describe(setting), _today(), _command())
    print(part)
    if args.write is not None:
        page = args.write / "sleep.md"
        page.write_text(put_into(page.read_text(), part))
    return 0 if all(claim.holds for result in results for claim in result.claims) else 1


def page_part(results: list[Result], machine: dict[str, str], date: str, command: str) -> str:
    """Everything, in Markdown."""
    parts = []
    for result in results:
        rounds = max(len(figure.rounds) for figure in result.figures)
        parts.append(f"**{result.scenario}**, {result.model}, median of {rounds}, {date}\n")
        parts.append(result_tables(result))
    told = "; ".join(f"{name}: {machine[name]}" for name in _MACHINE)
    return "\n".join([*parts, f"{told}.\n", f"    {command}\n"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sleep",
        description="Measure what a sleeping box costs, and how soon it answers.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="PATH",
        help="a GGUF file (one of the shape of Qwen2-1.5B, which is written if it is missing)",
    )
    parser.add_argument("--threads", type=int, help="compute threads (one a fast core)")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="bring FOLDER/sleep.md up to date"
    )
    return parser


def _command() -> str:
    """What was typed; of files elsewhere on this machine the name alone."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks.sleep", *words])


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
