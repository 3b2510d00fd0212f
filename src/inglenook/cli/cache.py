"""``inglenook cache``: the prefix cache on disk and in memory."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from inglenook.cli.terminal.output import note
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.config import Config, load_config
from inglenook.engine.prefix_files import BLOCK_SUFFIX, cache_files, purge_folder
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.models.preflight import auto_disk_bytes

#: Seconds in which a daemon has removed the largest cache that there may be, from a slow card.
_PURGE_S = 120.0


def list_(args: argparse.Namespace) -> None:
    """Print the cache's size, a line a model, and its limits below."""
    from inglenook.cli.terminal.table import print_table

    config = load_config(args.config, os.environ)
    folder = config.state_dir / PREFIX_FOLDER
    blocks: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = defaultdict(int)
    try:
        for path, status in cache_files(folder):
            blocks[path.parent.name] += path.suffix == BLOCK_SUFFIX
            sizes[path.parent.name] += status.st_size
    except OSError as exc:
        raise StartupError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
    if sizes:
        rows = [(name, f"{blocks[name]}", format_bytes(sizes[name])) for name in sorted(sizes)]
        print_table(("model", "blocks", "size"), rows)
    note(f"on disk: {on_disk(config, sum(sizes.values()))}")
    note(f"in memory: {_memory(config)}")


def purge(args: argparse.Namespace) -> None:
    """Delete all entries, also in a running daemon's memory."""
    freed_bytes = empty_cache(load_config(args.config, os.environ).state_dir)
    note(f"the cache is empty; {format_bytes(freed_bytes)} were on the disk")


def empty_cache(state_dir: Path) -> int:
    """Empty the cache, through the daemon if one runs; returns the bytes its files had.

    Raises:
        StartupError: If it cannot be emptied.
    """
    # Imported here: it imports the daemon, which is slow.
    from inglenook.daemon.statefolder import held_state_folder, holder_of

    holder = holder_of(state_dir)
    if holder is not None and holder.is_daemon:
        return asyncio.run(_ask_daemon(state_dir))
    if not state_dir.is_dir():
        return 0
    # A daemon that is started meanwhile waits until this has ended.
    with held_state_folder(state_dir, "inglenook cache purge"):
        try:
            return purge_folder(state_dir / PREFIX_FOLDER)
        except OSError as exc:
            raise StartupError(f"{exc.filename}: cannot be removed: {exc.strerror}") from exc


async def _ask_daemon(state_dir: Path) -> int:
    from aiohttp import ClientTimeout

    from inglenook.cli.control import control_session

    timeout = ClientTimeout(total=_PURGE_S)
    async with (
        control_session(state_dir) as session,
        session.post("/cache/purge", timeout=timeout) as answer,
    ):
        body: dict[str, Any] = await answer.json()
    if "error" in body:
        raise StartupError(body["error"]["message"])
    return int(body["freed_bytes"])


def on_disk(config: Config, kept_bytes: int) -> str:
    """The cache's size on disk and its limit, in words."""
    bound_bytes = config.cache.disk_bytes
    if bound_bytes is None:
        # The folder itself may not be there yet.
        root = next(path for path in (config.state_dir, *config.state_dir.parents) if path.exists())
        bound_bytes = auto_disk_bytes(shutil.disk_usage(root).free, kept_bytes)
    if not bound_bytes:
        return f"{format_bytes(kept_bytes)}, and no more is added (cache.disk is 0)"
    return f"{format_bytes(kept_bytes)} of {format_bytes(bound_bytes)} at most"


def _memory(config: Config) -> str:
    bound_bytes = config.cache.ram_bytes
    if bound_bytes is None:
        return "a quarter of what is free once the model is loaded, 1.0 GiB at most"
    return f"{format_bytes(bound_bytes)} at most" if bound_bytes else "none (cache.ram is 0)"
