"""``inglenook model``: which models there are, and fetching the starter."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from inglenook.config import load_config
from inglenook.models.catalogue import list_models, resolve_model
from inglenook.models.info import ModelInfo
from inglenook.models.inspect import inspect_model
from inglenook.models.starter import pull_starter
from inglenook.units import format_bytes


def list_(args: argparse.Namespace) -> None:
    """Print one model a line."""
    from inglenook.cli.table import print_table

    models_dir = load_config(args.config, os.environ).state_dir / "models"
    rows = [
        (entry.path.name, _summary(entry.info) if entry.info else f"{entry.fault}")
        for entry in list_models(models_dir)
    ]
    if not rows:
        print("no model yet; `inglenook model pull starter` fetches one", file=sys.stderr)
        return
    print_table(("model", "what it is"), rows)


def pull(args: argparse.Namespace) -> None:
    """Fetch the starter model and print its path."""
    print(fetch_starter(load_config(args.config, os.environ).state_dir / "models"))


def info(args: argparse.Namespace) -> None:
    """Check a model file and print what it is."""
    config = load_config(args.config, os.environ)
    path = args.path or resolve_model(config.model.path, config.state_dir / "models")
    found = inspect_model(path)
    print(f"file          {found.path}")
    print(f"name          {found.name}")
    print(f"architecture  {found.architecture}")
    print(f"size          {_summary(found)}")
    print(f"context       {found.context_length} tokens")
    per_token = format_bytes(found.kv_bytes_per_token("f16"))
    print(f"KV cache      {per_token} a token (f16)")


def fetch_starter(models_dir: Path) -> Path:
    """Make sure that the starter model is there, with a progress bar on stderr."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("starter model", total=None)

        def show(what: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            bars.update(task, description=what, completed=fraction or 0.0, total=total)

        return asyncio.run(pull_starter(models_dir, progress=show))


def _summary(found: ModelInfo) -> str:
    millions = found.parameter_count / 1e6
    return f"{millions:,.0f} M parameters, {found.quantization}, {format_bytes(found.file_bytes)}"
