"""The commands that are one module, each with its options; those in folders register their own."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from inglenook.cli import bench, chat, doctor, service
from inglenook.cli.parser import Commands, count_argument, name_argument


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands; the ``run`` of its result is ``module:function``."""
    command = Commands()
    command("up", "run:up", "set up what is missing, run the daemon, and show how to pair")
    command("run", "run:run", "run the daemon alone, as systemd does")
    pair = command("pair", "pair:pair", "let a new device in: show a QR code and a code to type")
    pair.add_argument("--name", type=name_argument, help="what the device will be called")
    _devices(command)
    _model(command)
    _cache(command)
    chat.register(command)
    find = command("find", "find:find", "look for boxes on this network")
    find.add_argument(
        "--timeout", type=_look_s, default=2.0, metavar="SECONDS", help="how long to look (2)"
    )
    _wake(command)
    status = command("status", "status:status", "show how the box is, as it changes")
    status.add_argument("--once", action="store_true", help="once, as plain text")
    doctor.register(command)
    bench.register(command)
    service.register(command)
    command("config", "config:config", "show the settings in force")
    return command.parser


def _wake(command: Commands) -> None:
    wake = command("wake", "wake:wake", "call a machine that sleeps, and wait until it answers")
    wake.add_argument(
        "name",
        type=name_argument,
        metavar="NAME|MAC",
        help="a box, a machine of 'wake.targets', or a MAC address",
    )
    wake.add_argument(
        "--secure-on", metavar="PASSWORD", help="the password its card asks for; - to type it"
    )
    wake.add_argument(
        "--timeout",
        type=count_argument(1, 3600),
        default=180,
        metavar="SECONDS",
        help="how long to wait (180)",
    )


def _devices(command: Commands) -> None:
    list_devices = "devices:list_devices"
    devices = command("devices", list_devices, "list, add, revoke or rename paired devices")
    group = devices.add_subparsers(metavar="ACTION")
    command("list", list_devices, "list paired devices", group)
    help_text = "add a device and print its token, which is shown once"
    add = command("add", "devices:add", help_text, group)
    add.add_argument("--name", type=name_argument, required=True, help="what the device is called")
    add.add_argument("--scopes", default="chat", help="what it may do, such as chat,admin (chat)")
    add.add_argument("--expires", metavar="90d", help="how long its token lasts (for ever)")
    add.add_argument(
        "--thinking",
        default="auto",
        metavar="auto|on|off|TOKENS",
        help="whether the model thinks for it first, and how much (auto: as the box has it)",
    )
    revoke = command("revoke", "devices:revoke", "shut a device out, at once", group)
    rename = command("rename", "devices:rename", "give a device another name", group)
    help_text = "choose if the model thinks for a device"
    thinking = command("thinking", "devices:thinking", help_text, group)
    for action in (revoke, rename, thinking):
        action.add_argument("device", type=name_argument, help="its id or name")
    rename.add_argument("name", type=name_argument, help="its new name")
    thinking.add_argument(
        "thinking", metavar="auto|on|off|TOKENS", help="auto: as the box has it; TOKENS: at most"
    )


def _model(command: Commands) -> None:
    help_text = "list, fetch, choose, examine or remove models"
    model = command("model", "model:list_", help_text)
    group = model.add_subparsers(metavar="ACTION")
    command("list", "model:list_", "list the models of this box", group)
    pull = command("pull", "model:pull", "fetch a model", group)
    pull.add_argument(
        "source", type=_source, metavar="starter|URL", help="the starter, or a GGUF file's address"
    )
    use = command("use", "model_use:use", "have the box use a model from its next start on", group)
    use.add_argument(
        "model",
        metavar="FILE|NAME",
        help="a GGUF file, a name of `inglenook model list`, or starter",
    )
    info = command("info", "model:info", "check a model file and show what it is", group)
    info.add_argument("path", type=Path, nargs="?", help="a GGUF file (the one in use)")
    rm = command("rm", "model:rm", "remove a model, and the cache", group)
    rm.add_argument("name", help="as `inglenook model list` shows it")


def _cache(command: Commands) -> None:
    cache = command("cache", "cache:list_", "show or empty the cache of prompts")
    group = cache.add_subparsers(metavar="ACTION")
    command("list", "cache:list_", "show the size of the cache", group)
    command("purge", "cache:purge", "delete all of it, in memory too", group)


def _source(text: str) -> str:
    if text != "starter" and not text.startswith(("https://", "http://")):
        raise argparse.ArgumentTypeError("must be 'starter', or the address of a GGUF file")
    return text


def _look_s(text: str) -> float:
    try:
        look_s = float(text)
    except ValueError:
        look_s = math.nan
    # As `discovery.browse.LISTEN_LEAST_S` has it, which takes long to import.
    if not 2 <= look_s <= 3600:
        raise argparse.ArgumentTypeError("must be 2 to 3600")
    return look_s
