"""``inglenook model``: list, fetch, examine and remove models."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from inglenook.cli.cache import empty_cache
from inglenook.cli.template_lines import template_lines
from inglenook.cli.terminal.output import note, say
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.config import load_config
from inglenook.engine.examining import examine_template
from inglenook.engine.templatefacts import TemplateUnfit
from inglenook.models.info import ModelInfo
from inglenook.models.inspect import (
    CHECK_ARGUMENT,
    can_map,
    examine,
    inspect_model,
    list_models,
    resolve_model,
)
from inglenook.models.starter import STARTER, pull_starter

_READ = "read into memory, as its file system cannot map files"


def list_(args: argparse.Namespace) -> None:
    """Print a line a model; the one in use is listed even if it is elsewhere, or missing."""
    from inglenook.cli.terminal.table import print_table

    config = load_config(args.config, os.environ)
    models_dir = config.state_dir / "models"
    used = resolve_model(config.model.path, models_dir)
    entries = list_models(models_dir)
    if not entries and config.model.path is None:
        note("no model yet; `inglenook model pull starter` fetches one")
        return
    if not any(_is_same(entry.path, used) for entry in entries):
        entries.append(examine(used))
    rows = [
        (
            entry.path.name if entry.path.parent == models_dir else str(entry.path),
            _summary(entry.info) if entry.info else f"{entry.fault}",
            "in use" if _is_same(entry.path, used) else "",
        )
        for entry in entries
    ]
    print_table(("model", "what it is", ""), rows)


def rm(args: argparse.Namespace) -> None:
    """Remove a model and the whole cache, whose entries cannot be attributed to a model."""
    config = load_config(args.config, os.environ)
    models_dir = config.state_dir / "models"
    path = models_dir / args.name
    # Only listed names: nothing outside the folder has one.
    if path not in models_dir.glob("*.gguf"):
        text = f"there is no model {args.name!r} in {models_dir}; `inglenook model list` shows them"
        raise StartupError(text)
    if _is_same(path, resolve_model(config.model.path, models_dir)):
        raise StartupError(f"{args.name} is in use; `inglenook model use` another first")
    try:
        size_bytes = path.lstat().st_size
        path.unlink()
    except OSError as exc:
        raise StartupError(f"{path}: cannot be removed: {exc.strerror}") from exc
    freed_bytes = size_bytes + empty_cache(config.state_dir)
    note(f"{args.name} is removed, {format_bytes(freed_bytes)} with its cache")


def pull(args: argparse.Namespace) -> None:
    """Fetch a model and print its path."""
    models_dir = load_config(args.config, os.environ).state_dir / "models"
    if args.source == STARTER.name:
        print(fetch_starter(models_dir))
        return
    from inglenook.models.fetch import fetch_model

    path = _with_bar(args.source, partial(fetch_model, args.source, models_dir))
    print(path)
    note(f"`inglenook model use {path.name}` has the box use it")


def info(args: argparse.Namespace) -> None:
    """Check a model file and print its facts."""
    config = load_config(args.config, os.environ)
    if args.path is not None:
        found = inspect_model(args.path, remedy=CHECK_ARGUMENT)
    else:
        found = inspect_model(resolve_model(config.model.path, config.state_dir / "models"))
    per_token = format_bytes(found.kv_bytes_per_token("f16"))
    each = format_bytes(found.state_bytes)
    for label, text in (
        ("file", f"{found.path}"),
        ("name", found.name),
        ("architecture", found.architecture),
        ("size", _summary(found)),
        ("context", f"{found.context_length} tokens"),
        ("KV cache", f"{per_token} a token (f16)"),
        *([("running state", f"{each} an answer")] if found.state_bytes else []),
        ("loading", "mapped from the file" if can_map(found.path) else _READ),
    ):
        _row(label, text)
    facts = examine_template(found.path, found.chat_template)
    if isinstance(facts, TemplateUnfit):
        raise StartupError(f"{found.path}: {facts.why}; choose another model")
    for label, text in template_lines(facts):
        _row(label, text)


def _row(label: str, text: str) -> None:
    say(text, first=f"{label:16}", rest="  ")


def fetch_starter(models_dir: Path) -> Path:
    """Fetch the starter model if it is missing, with a progress bar on stderr."""
    return _with_bar("starter model", partial(pull_starter, models_dir))


def _with_bar(what: str, fetch: Callable[..., Coroutine[Any, Any, Path]]) -> Path:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def show(what: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            bars.update(task, description=what, completed=fraction or 0.0, total=total)

        return asyncio.run(fetch(progress=show))


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return path == other  # a missing one is the same by name only


def _summary(found: ModelInfo) -> str:
    millions = found.parameter_count / 1e6
    return f"{millions:,.0f} M parameters, {found.quantization}, {format_bytes(found.file_bytes)}"
