"""The command line: results on stdout, everything else on stderr.

Exit codes: 0 ok, 1 failed, 2 usage, 78 configuration (``EX_CONFIG`` of sysexits.h). Each command
lives in its own module and is imported only when it is used, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from inglenook import __version__
from inglenook.errors import ConfigError, InglenookError, Problem

_OK, _FAILED, _CONFIG = 0, 1, 78

#: What a shell reports for a program ended by Ctrl-C: 128 + SIGINT.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # What a terminal's encoding lacks is shown as a question mark, rather than as our end.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = _parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help()
        return _OK
    args = parser.parse_args(argv)
    _set_up_logging(debug=args.debug)
    # Each command's module has a function of the command's name, which takes the arguments.
    module = import_module(f"inglenook.cli.{args.module}")
    run: Callable[[argparse.Namespace], int | None] = getattr(module, args.function)
    try:
        return run(args) or _OK
    except InglenookError as exc:
        if args.debug:
            raise
        return _complain(exc)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does; the rest is of no interest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


def _complain(exc: InglenookError) -> int:
    text = exc.text if isinstance(exc, Problem) else str(exc)
    for line in text.splitlines():
        print(f"inglenook: {line}", file=sys.stderr)
    return _CONFIG if isinstance(exc, ConfigError) else _FAILED


def _set_up_logging(*, debug: bool) -> None:
    # The journal keeps the time itself; a terminal's reader seldom wants it.
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s" if debug else "%(message)s",
    )
    # A page that asks for its icon is no news; what goes wrong there is said by our own handlers.
    logging.getLogger("aiohttp").setLevel(logging.DEBUG if debug else logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It warns of addresses that are a moment too young to be used; what matters `discovery` says.
    logging.getLogger("zeroconf").setLevel(logging.ERROR)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="settings to use")
    common.add_argument(
        "--debug",
        action="store_true",
        default=bool(os.environ.get("DEBUG")),
        help="say more, and show traces (also DEBUG=1)",
    )
    parser = argparse.ArgumentParser(
        prog="inglenook", description="The household's own language model."
    )
    parser.add_argument("--version", action="version", version=f"inglenook {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str,
        module: str,
        help_text: str,
        group: argparse._SubParsersAction[argparse.ArgumentParser] | None = None,
    ) -> argparse.ArgumentParser:
        added = (group or commands).add_parser(
            name,
            help=help_text,
            description=help_text[0].upper() + help_text[1:] + ".",
            parents=[common],
        )
        added.set_defaults(module=module, function=name)
        return added

    command("up", "run", "set up what is missing, run the daemon, and show how to pair")
    command("run", "run", "run the daemon alone, as systemd does")
    pair = command("pair", "pair", "let a new device in: show a QR code and a code to type")
    pair.add_argument("--name", help="what the device will be called")
    _devices(command)
    _model(command)
    _cache(command)
    chat = command("chat", "chat", "talk to a box from this terminal")
    chat.add_argument("--url", help="the box's address, such as http://kitchen-ab12.local:8377")
    chat.add_argument("--token", default=os.environ.get("INGLENOOK_TOKEN"), help="a device's token")
    find = command("find", "find", "look for boxes on this network")
    find.add_argument(
        "--timeout", type=float, default=2.0, metavar="SECONDS", help="how long to look (2)"
    )
    _wake(command)
    status = command("status", "status", "show how the box is, as it changes")
    status.add_argument("--once", action="store_true", help="once, as plain text")
    _doctor(command)
    tune = command("tune", "tune", "measure this board, and keep what it computes fastest with")
    tune.add_argument("--model", type=Path, metavar="PATH", help="a GGUF file (the one in use)")
    _bench(command)
    _service(command)
    command("config", "config", "show the settings in force")
    return parser


def _wake(command: Callable[..., argparse.ArgumentParser]) -> None:
    wake = command("wake", "wake", "call a machine that sleeps, and wait until it answers")
    wake.add_argument(
        "name", metavar="NAME|MAC", help="a box, a machine of 'wake.targets', or a MAC address"
    )
    wake.add_argument("--secure-on", metavar="PASSWORD", help="what its card wants to hear beside")
    wake.add_argument(
        "--timeout", type=_seconds, default=180.0, metavar="SECONDS", help="how long to wait (180)"
    )


def _seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError("must be 1 to 3600")
    return float(text)


def _doctor(command: Callable[..., argparse.ArgumentParser]) -> None:
    help_text = "examine this board, and say what to do if something is wrong"
    doctor = command("doctor", "doctor", help_text)
    doctor.add_argument(
        "--suspend-test", action="store_true", help="suspend the board once, for a minute"
    )
    doctor.add_argument("--yes", action="store_true", help="do so without asking")


def _bench(command: Callable[..., argparse.ArgumentParser]) -> None:
    bench = command("bench", "bench", "measure how fast a box answers, or another server")
    bench.add_argument("--url", help="a box, or any server of OpenAI's protocol (this daemon)")
    bench.add_argument("--token", default=os.environ.get("INGLENOOK_TOKEN"), help="token or key")
    bench.add_argument("--streams", type=_count, default=4, metavar="N", help="answers at once (4)")
    bench.add_argument("--tokens", type=_count, default=64, metavar="N", help="length of each (64)")


def _service(command: Callable[..., argparse.ArgumentParser]) -> None:
    service = command("service", "servicestatus", "install, remove or show the systemd service")
    service.set_defaults(function="status")
    group = service.add_subparsers(metavar="ACTION")
    install = command("install", "service", "install and start the systemd service", group)
    install.add_argument("--dry-run", action="store_true", help="show every file, write none")
    uninstall = command("uninstall", "service", "remove the systemd service", group)
    uninstall.add_argument("--purge", action="store_true", help="remove state and settings, too")
    for added in (install, uninstall):
        added.add_argument(
            "--root", type=Path, metavar="DIR", help="write below this folder, and start nothing"
        )
    command("status", "servicestatus", "show how the service is", group)


def _count(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError("must be 2 to 1024")
    return int(text)


def _devices(command: Callable[..., argparse.ArgumentParser]) -> None:
    devices = command("devices", "devices", "list, add, revoke or rename paired devices")
    devices.set_defaults(function="list_devices")
    group = devices.add_subparsers(metavar="ACTION")
    command("list", "devices", "list paired devices", group).set_defaults(function="list_devices")
    add = command("add", "devices", "add a device and print its token, which is shown once", group)
    add.add_argument("--name", required=True, help="what the device is called")
    add.add_argument("--scopes", default="chat", help="what it may do, such as chat,admin (chat)")
    add.add_argument("--expires", metavar="90d", help="how long its token lasts (for ever)")
    revoke = command("revoke", "devices", "shut a device out, at once", group)
    revoke.add_argument("device", help="its id or name")
    rename = command("rename", "devices", "give a device another name", group)
    rename.add_argument("device", help="its id or name")
    rename.add_argument("name", help="its new name")


def _model(command: Callable[..., argparse.ArgumentParser]) -> None:
    model = command("model", "model", "list, fetch, examine or remove models")
    model.set_defaults(function="list_")
    group = model.add_subparsers(metavar="ACTION")
    command("list", "model", "list the models of this box", group).set_defaults(function="list_")
    pull = command("pull", "model", "fetch a model", group)
    pull.add_argument("name", choices=["starter"], help="which")
    info = command("info", "model", "check a model file and tell what it is", group)
    info.add_argument("path", type=Path, nargs="?", help="a GGUF file (the one in use)")
    rm = command("rm", "model", "remove a model, and the cache", group)
    rm.add_argument("name", help="as `inglenook model list` shows it")


def _cache(command: Callable[..., argparse.ArgumentParser]) -> None:
    cache = command("cache", "cache", "show or empty the cache of what was read")
    cache.set_defaults(function="list_")
    group = cache.add_subparsers(metavar="ACTION")
    command("list", "cache", "show how much is kept", group).set_defaults(function="list_")
    command("purge", "cache", "forget all of it, in memory too", group)
