"""What the parsers of all commands are made of; importing it is quick, as `--help` has to be."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inglenook import __version__


class Commands:
    """Adds commands, each with the options that all have."""

    def __init__(self) -> None:
        self.parser = _Parser(prog="inglenook", description="The household's own language model.")
        version = f"inglenook {__version__}"
        self.parser.add_argument("--version", action="version", version=version)
        self._group: Any = self.parser.add_subparsers(metavar="COMMAND", required=True)
        self._common = argparse.ArgumentParser(add_help=False)
        self._common.add_argument("--config", type=Path, metavar="FILE", help="settings to use")
        self._common.add_argument(
            "--debug",
            action="store_true",
            default=bool(os.environ.get("DEBUG")),
            help="log more, and print traces (also DEBUG=1)",
        )

    def __call__(
        self, name: str, run: str, help_text: str, group: Any = None
    ) -> argparse.ArgumentParser:
        """Add a command to the program, or an action to a command's group.

        Args:
            name: As it is typed.
            run: ``module:function`` below ``inglenook.cli``, imported only when the command runs.
            help_text: One line.
            group: From the ``add_subparsers`` of the command; None for a command itself.
        """
        added: argparse.ArgumentParser = (group or self._group).add_parser(
            name,
            help=help_text,
            description=help_text[0].upper() + help_text[1:] + ".",
            parents=[self._common],
        )
        added.set_defaults(run=run)
        return added


def add_token_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that send a token: which, and to which box."""
    parser.add_argument(
        "--token",
        default=os.environ.get("INGLENOOK_TOKEN"),
        help="a device's token; other users of this machine can see it here, so better set "
        "INGLENOOK_TOKEN, or write - to type it or have it first in a pipe",
    )
    parser.add_argument(
        "--fingerprint",
        metavar="KEY",
        help="the box's TLS key, as `inglenook pair` shows it; the token goes to no other",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="send the token to whatever answers at the address, without TLS if need be",
    )


def name_argument(text: str) -> str:
    """Take a name.

    Raises:
        argparse.ArgumentTypeError: If it is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        # Python has the undecodable bytes as surrogates; printed, they would be escapes.
        why = "is not UTF-8; set this terminal to UTF-8, or write the name without accents"
        raise argparse.ArgumentTypeError(why) from None
    return text


def count_argument(least: int, most: int) -> Callable[[str], int]:
    """Make the converter of a whole number within these bounds."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}")
        return int(text)

    return convert


class _Parser(argparse.ArgumentParser):
    """Takes values that begin with a dash, and suggests the nearest word for a mistyped one."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(list(self._joined(words)), namespace)

    def _joined(self, words: Sequence[str]) -> Iterator[str]:
        # One key in 64 has a fingerprint with a dash in front, which argparse takes for an option.
        options = self._option_string_actions
        left = list(words)
        while left:
            word = left.pop(0)
            takes_value = word in options and options[word].nargs is None
            if (
                takes_value
                and left
                and left[0].startswith("-")
                and left[0] not in (*options, "-", "--")
            ):
                yield f"{word}={left.pop(0)}"
            else:
                yield word
                if word == "--":
                    yield from left
                    return

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        words = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), words, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(words)}"
        raise argparse.ArgumentError(action, f"there is no {value!r}; {hint}")
