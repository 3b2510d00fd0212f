"""``inglenook config``: the settings in force."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace

from inglenook.cli.invocation import as_typed
from inglenook.cli.terminal.output import broken, columns_of
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.config import (
    Config,
    load_config,
    settings_file,
    show,
    user_settings_file,
)
from inglenook.config.load import DEFAULT_PATH
from inglenook.daemon.loading import make_load, model_path
from inglenook.engine.cores import compute_cores
from inglenook.engine.prefix_files import folder_bytes
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.models.preflight import auto_disk_bytes


def config(args: argparse.Namespace) -> None:
    """Print the settings as YAML, and their source; there are no secrets among them."""
    found = load_config(args.config, os.environ)
    if (source := args.config or settings_file(os.environ)) is not None:
        head = f"from {source.absolute()}"
    else:
        places = filter(None, (DEFAULT_PATH, user_settings_file(os.environ)))
        head = f"all of them defaults: there is no {' and no '.join(map(str, places))}"
    columns = columns_of(sys.stdout)
    print("\n".join(_comment(as_typed(head), "", columns)))
    print(annotated(show(found), meanings(found), columns), end="")


def meanings(config: Config) -> dict[str, str]:
    """The values of settings that are ``auto`` or ``null``, by their dotted path."""
    comments = {}
    if config.model.path is None:
        comments["model.path"] = f"the starter model, {model_path(config)}"
    if config.power.awake_hours is None:
        comments["power.awake_hours"] = "at any hour"
    if config.cache.disk_bytes is None:
        comments["cache.disk"] = format_bytes(_disk_bytes(config))
    comments["model.thinking"] = "as the model does by itself"
    comments["engine.threads"] = f"{len(compute_cores())}, one a core worth computing on"
    # The disk cache does not matter here, and its folder may be missing.
    config = replace(config, cache=replace(config.cache, disk_bytes=0))
    try:
        _name, load, _memory = make_load(config)
    except StartupError:
        unknown = "follows from the model, which `inglenook doctor` says what is wrong with"
        return comments | dict.fromkeys(("model.context", "cache.ram"), unknown)
    comments["model.context"] = f"{load.context_tokens} if loaded now"
    comments["model.kv_type"] = load.kv_type
    if load.threads is not None:
        comments["engine.threads"] = f"{load.threads}, measured by `inglenook tune`"
    if load.prefix is not None:
        comments["cache.ram"] = f"{format_bytes(load.prefix.ram_bytes)} if loaded now"
    return comments


def annotated(text: str, comments: Mapping[str, str], columns: int | None = None) -> str:
    """Add a comment to each ``auto`` and ``null`` in the YAML of `show`.

    Args:
        text: YAML.
        comments: By the setting's dotted path.
        columns: Width of the terminal; a comment that does not fit is put above.
    """
    lines, section = [], ""
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        if not line.startswith(" "):
            section = line.removesuffix(":") if line.endswith(":") else ""
        meaning = comments.get(f"{section}.{name.strip()}") if value in ("auto", "null") else None
        if meaning is None:
            lines.append(line)
            continue
        whole = f"{line}  # {as_typed(meaning)}"
        if columns is None or len(whole) <= columns:
            lines.append(whole)
        else:
            indent = " " * (len(line) - len(line.lstrip()))
            lines += [*_comment(as_typed(meaning), indent, columns), line]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str, columns: int | None) -> list[str]:
    before = f"{indent}# "
    return broken(text, columns, before, before) if columns else [before + text]


def _disk_bytes(config: Config) -> int:
    folder = next(path for path in (config.state_dir, *config.state_dir.parents) if path.exists())
    try:
        kept_bytes = sum(folder_bytes(config.state_dir / PREFIX_FOLDER).values())
        return auto_disk_bytes(shutil.disk_usage(folder).free, kept_bytes)
    except OSError as exc:
        raise StartupError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
