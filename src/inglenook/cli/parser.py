"""Every command and option there is; importing it is quick, as `--help` has to be."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inglenook import __version__
from inglenook.cli.options import add_token_options


def make_parser() -> argparse.ArgumentParser:
    """Give the parser; what it finds names its ``module`` and the ``function`` in it."""
    parser = _Parser(prog="inglenook", description="The household's own language model.")
    parser.add_argument("--version", action="version", version=f"inglenook {__version__}")
    command = _Commands(parser.add_subparsers(metavar="COMMAND", required=True))
    command("up", "run", "set up what is missing, run the daemon, and show how to pair")
    command("run", "run", "run the daemon alone, as systemd does")
    pair = command("pair", "pair", "let a new device in: show a QR code and a code to type")
    pair.add_argument("--name", type=_name, help="what the device will be called")
    _devices(command)
    _model(command)
    _cache(command)
    chat = command("chat", "chat.chat", "talk to a box from this terminal")
    chat.add_argument("--url", help="the box's address, such as http://kitchen-ab12.local:8377")
    chat.add_argument(
        "--pair", action="store_true", help="pair anew, such as with a box that has a new key"
    )
    add_token_options(chat)
    find = command("find", "find", "look for boxes on this network")
    find.add_argument(
        "--timeout", type=_look_s, default=2.0, metavar="SECONDS", help="how long to look (2)"
    )
    _wake(command)
    status = command("status", "status", "show how the box is, as it changes")
    status.add_argument("--once", action="store_true", help="once, as plain text")
    _doctor(command)
    help_text = "measure this board, and keep what it computes fastest with"
    tune = command("tune", "bench.tune", help_text)
    tune.add_argument("--model", type=Path, metavar="PATH", help="a GGUF file (the one in use)")
    _bench(command)
    _service(command)
    command("config", "config", "show the settings in force")
    return parser


class _Commands:
    """Adds commands, each with the options that all have."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._common = argparse.ArgumentParser(add_help=False)
        self._common.add_argument("--config", type=Path, metavar="FILE", help="settings to use")
        self._common.add_argument(
            "--debug",
            action="store_true",
            default=bool(os.environ.get("DEBUG")),
            help="say more, and show traces (also DEBUG=1)",
        )

    def __call__(
        self, name: str, module: str, help_text: str, group: Any = None
    ) -> argparse.ArgumentParser:
        """Add one, to the program or to a group of another; its function has its name."""
        added: argparse.ArgumentParser = (group or self._group).add_parser(
            name,
            help=help_text,
            description=help_text[0].upper() + help_text[1:] + ".",
            parents=[self._common],
        )
        added.set_defaults(module=module, function=name)
        return added


class _Parser(argparse.ArgumentParser):
    """Takes values that begin with a dash, and knows what was meant by a mistyped word."""

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


def _wake(command: _Commands) -> None:
    wake = command("wake", "wake", "call a machine that sleeps, and wait until it answers")
    wake.add_argument(
        "name",
        type=_name,
        metavar="NAME|MAC",
        help="a box, a machine of 'wake.targets', or a MAC address",
    )
    wake.add_argument(
        "--secure-on", metavar="PASSWORD", help="what its card wants to hear beside; - to type it"
    )
    wake.add_argument(
        "--timeout", type=_seconds, default=180.0, metavar="SECONDS", help="how long to wait (180)"
    )


def _doctor(command: _Commands) -> None:
    help_text = "examine this board, and say what to do if something is wrong"
    doctor = command("doctor", "doctor.doctor", help_text)
    doctor.add_argument(
        "--suspend-test", action="store_true", help="suspend the board once, for a minute"
    )
    doctor.add_argument("--yes", action="store_true", help="do so without asking")


def _bench(command: _Commands) -> None:
    bench = command("bench", "bench.bench", "measure how fast a box answers, or another server")
    bench.add_argument("--url", help="a box, or any server of OpenAI's protocol (this daemon)")
    add_token_options(bench)
    bench.add_argument(
        "--streams", type=_count(1), default=4, metavar="N", help="answers at once, 1 to 1024 (4)"
    )
    bench.add_argument(
        "--tokens", type=_count(2), default=64, metavar="N", help="length of each, 2 to 1024 (64)"
    )


def _service(command: _Commands) -> None:
    service = command("service", "service.status", "install, remove or show the systemd service")
    service.set_defaults(function="status")
    group = service.add_subparsers(metavar="ACTION")
    install = command("install", "service.service", "install and start the systemd service", group)
    install.add_argument("--dry-run", action="store_true", help="show every file, write none")
    uninstall = command("uninstall", "service.service", "remove the systemd service", group)
    uninstall.add_argument("--purge", action="store_true", help="remove state and settings, too")
    for added in (install, uninstall):
        added.add_argument(
            "--root", type=Path, metavar="DIR", help="write below this folder, and start nothing"
        )
    command("status", "service.status", "show how the service is", group)


def _devices(command: _Commands) -> None:
    devices = command("devices", "devices", "list, add, revoke or rename paired devices")
    devices.set_defaults(function="list_devices")
    group = devices.add_subparsers(metavar="ACTION")
    command("list", "devices", "list paired devices", group).set_defaults(function="list_devices")
    add = command("add", "devices", "add a device and print its token, which is shown once", group)
    add.add_argument("--name", type=_name, required=True, help="what the device is called")
    add.add_argument("--scopes", default="chat", help="what it may do, such as chat,admin (chat)")
    add.add_argument("--expires", metavar="90d", help="how long its token lasts (for ever)")
    add.add_argument(
        "--thinking",
        default="auto",
        metavar="auto|on|off|TOKENS",
        help="whether the model thinks for it first, and how much (auto: as the box has it)",
    )
    revoke = command("revoke", "devices", "shut a device out, at once", group)
    revoke.add_argument("device", type=_name, help="its id or name")
    rename = command("rename", "devices", "give a device another name", group)
    rename.add_argument("device", type=_name, help="its id or name")
    rename.add_argument("name", type=_name, help="its new name")
    thinking = command("thinking", "devices", "choose if the model thinks for a device", group)
    thinking.add_argument("device", type=_name, help="its id or name")
    thinking.add_argument(
        "thinking", metavar="auto|on|off|TOKENS", help="auto: as the box has it; TOKENS: at most"
    )


def _model(command: _Commands) -> None:
    model = command("model", "model", "list, fetch, choose, examine or remove models")
    model.set_defaults(function="list_")
    group = model.add_subparsers(metavar="ACTION")
    command("list", "model", "list the models of this box", group).set_defaults(function="list_")
    pull = command("pull", "model", "fetch a model", group)
    pull.add_argument(
        "source", type=_source, metavar="starter|URL", help="the starter, or a GGUF file's address"
    )
    use = command("use", "modeluse", "have the box use a model from its next start on", group)
    use.add_argument(
        "model",
        metavar="FILE|NAME",
        help="a GGUF file, a name of `inglenook model list`, or starter",
    )
    info = command("info", "model", "check a model file and tell what it is", group)
    info.add_argument("path", type=Path, nargs="?", help="a GGUF file (the one in use)")
    rm = command("rm", "model", "remove a model, and the cache", group)
    rm.add_argument("name", help="as `inglenook model list` shows it")


def _cache(command: _Commands) -> None:
    cache = command("cache", "cache", "show or empty the cache of what was read")
    cache.set_defaults(function="list_")
    group = cache.add_subparsers(metavar="ACTION")
    command("list", "cache", "show how much is kept", group).set_defaults(function="list_")
    command("purge", "cache", "forget all of it, in memory too", group)


def _name(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Python has kept the bytes it could not read; shown, they would be escapes.
        why = "is not UTF-8; set this terminal to UTF-8, or write the name without accents"
        raise argparse.ArgumentTypeError(why) from None
    return text


def _source(text: str) -> str:
    if text != "starter" and not text.startswith(("https://", "http://")):
        raise argparse.ArgumentTypeError("must be 'starter', or the address of a GGUF file")
    return text


def _seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError("must be 1 to 3600")
    return float(text)


def _look_s(text: str) -> float:
    try:
        look_s = float(text)
    except ValueError:
        look_s = math.nan
    # As `discovery.browse.LISTEN_LEAST_S` has it, which takes long to import.
    if not 2 <= look_s <= 3600:
        raise argparse.ArgumentTypeError("must be 2 to 3600")
    return look_s


def _count(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= 1024:
            raise argparse.ArgumentTypeError(f"must be {least} to 1024")
        return int(text)

    return convert
