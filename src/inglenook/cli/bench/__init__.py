"""Measurements from the command line."""

from __future__ import annotations

from pathlib import Path

from inglenook.cli.parser import Commands, add_token_options, count_argument

#: Of answers at once, and of tokens in each.
_MOST = 1024


def register(command: Commands) -> None:
    """Add ``inglenook tune`` and ``inglenook bench``."""
    help_text = "measure this board, and store the fastest settings"
    tune = command("tune", "bench.tune:tune", help_text)
    tune.add_argument("--model", type=Path, metavar="PATH", help="a GGUF file (the one in use)")
    help_text = "measure how fast a box answers, or another server"
    bench = command("bench", "bench.bench:bench", help_text)
    bench.add_argument("--url", help="a box, or any server of OpenAI's protocol (this daemon)")
    add_token_options(bench)
    for option, least, value, what in (
        ("--streams", 1, 4, "answers at once, 1"),
        ("--tokens", 2, 64, "length of each, 2"),
    ):
        bench.add_argument(
            option,
            type=count_argument(least, _MOST),
            default=value,
            metavar="N",
            help=f"{what} to {_MOST} ({value})",
        )
