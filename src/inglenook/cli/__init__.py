"""The command line: results on stdout, everything else on stderr.

Exit codes: 0 ok, 1 failed, 2 usage, 78 configuration (``EX_CONFIG`` of sysexits.h). Each command
lives in its own module and is imported only when it is used, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper

from inglenook.cli.commands import make_parser
from inglenook.cli.ending import cause, end_of_output, flush_output
from inglenook.cli.terminal.output import LineFormatter, note
from inglenook.common.errors import ConfigError, InglenookError, Problem
from inglenook.common.units import mid_sentence

_OK, _FAILED, _CONFIG = 0, 1, 78

#: What a shell reports for a program ended by Ctrl-C: 128 + SIGINT.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Characters that the terminal's encoding lacks are shown as question marks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            return _run(argv)
        finally:
            flush_output()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (OSError, BaseExceptionGroup) as exc:
        return end_of_output(exc)


def _run(argv: Sequence[str] | None) -> int:
    parser = make_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help()
        return _OK
    args = parser.parse_args(argv)
    _set_up_logging(debug=args.debug)
    module, _, function = args.run.partition(":")
    run: Callable[[argparse.Namespace], int | None] = getattr(
        import_module(f"inglenook.cli.{module}"), function
    )
    try:
        return run(args) or _OK
    except (InglenookError, BaseExceptionGroup) as exc:
        found = cause(exc)
        if isinstance(found, KeyboardInterrupt):
            return _INTERRUPTED
        if args.debug or not isinstance(found, InglenookError):
            raise
        return _complain(found)


def _complain(exc: InglenookError) -> int:
    text = exc.text if isinstance(exc, Problem) else str(exc)
    if ". " not in text:  # one sentence, behind a colon
        begins = isinstance(exc, Problem) or text.startswith("The ")
        text = (mid_sentence(text) if begins else text).removesuffix(".")
    for line in text.splitlines():
        note(line, first="inglenook: ", rest="  ")
    return _CONFIG if isinstance(exc, ConfigError) else _FAILED


def _set_up_logging(*, debug: bool) -> None:
    # The journal stores the time itself; on a terminal it is seldom wanted.
    handler = logging.StreamHandler(sys.stderr)
    traced = "%(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(traced) if debug else LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if debug else logging.INFO)
    # Its access log is noise; our own handlers log the faults.
    logging.getLogger("aiohttp").setLevel(logging.DEBUG if debug else logging.WARNING)
    # It warns of unknown subprotocols, in the client's words.
    logging.getLogger("aiohttp.websocket").setLevel(logging.DEBUG if debug else logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It warns of addresses that are not usable yet; `discovery` logs what matters.
    logging.getLogger("zeroconf").setLevel(logging.ERROR)
