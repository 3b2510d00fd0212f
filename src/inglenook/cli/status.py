"""``inglenook status``: how the box is, as it changes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live

from inglenook.cli.control import control_session
from inglenook.cli.status_picture import (
    LABEL_COLUMNS,
    PAST_S,
    Bounds,
    engine_text,
    journal_text,
    limits_text,
    memory_texts,
    picture,
    waiting_text,
)
from inglenook.cli.terminal.output import say
from inglenook.common.errors import StartupError
from inglenook.common.guarded import failed_in
from inglenook.config import load_config
from inglenook.daemon.loading import read_budget

_EVERY_S = 1.0

#: A daemon answers within milliseconds, on a box that swaps within seconds.
_ANSWER_S = 10.0


def status(args: argparse.Namespace) -> int:
    """Show the state until Ctrl-C or hang-up; once, as plain text, if stdout is no terminal."""
    config = load_config(args.config, os.environ)
    memory = read_budget(config.governor.root)
    total_bytes = None if memory is None else memory.total_bytes
    bounds = Bounds(config.name, config.engine.max_sequences, total_bytes)
    console = Console()
    # Not `console.is_terminal`: with FORCE_COLOR set it takes a pipe for a terminal.
    if args.once or not sys.stdout.isatty() or console.is_dumb_terminal:
        for label, text in plain_lines(asyncio.run(ask_once(config.state_dir)), bounds):
            say(text, first=f"{label:{LABEL_COLUMNS}} ", rest="  ")
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(config.state_dir, bounds, console))
        return 1
    return 0


async def ask_once(state_dir: Path) -> dict[str, Any]:
    """Ask the daemon for its ``state`` of docs/protocol.md, with the owner's fields.

    Raises:
        StartupError: If there is no daemon, or it does not answer.
    """
    async with control_session(state_dir) as session:
        return await _ask(session)


async def _watch(state_dir: Path, bounds: Bounds, console: Console) -> None:
    past: deque[dict[str, Any]] = deque(maxlen=PAST_S)
    async with control_session(state_dir) as session:
        with Live(console=console, auto_refresh=False) as live:
            # Writing to a closed terminal does not fail, so the loop would never end.
            while os.isatty(console.file.fileno()):
                past.append(await _ask(session))
                live.update(picture(past, bounds, console.width), refresh=True)
                await asyncio.sleep(_EVERY_S)


async def _ask(session: aiohttp.ClientSession) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_ANSWER_S), session.get("/state") as answer:
            if answer.status != 200:
                raise StartupError("the daemon that runs is an older one; restart it")
            state: dict[str, Any] = await answer.json()
    except TimeoutError:
        text = f"the daemon has not answered for {_ANSWER_S:g} s; its log may say why"
        raise StartupError(text) from None
    return state


def plain_lines(state: Mapping[str, Any], bounds: Bounds) -> list[tuple[str, str]]:
    """The box's state, as a label and a text a line."""
    cpu_c = state["cpu_c"]
    left, whole = memory_texts(state, bounds)
    heat = "no temperature sensor" if cpu_c is None else f"{cpu_c:.0f} °C, {state['level']}"
    lines = [
        ("name", bounds.name),
        ("model", state["model"] or "none"),
        ("engine", engine_text(state)),
        ("answers", f"{state['active']} of {state['max_active']} at once, {waiting_text(state)}"),
        ("heat", heat),
        ("memory", f"{left} {whole} available" if whole else left),
    ]
    if state["sentence"] or state["engine_why"]:
        lines.append(("limits", limits_text(state)))
    if state.get("journal_error"):
        lines.append(("journal", journal_text(state)))
    if errors := failed_in(state.get("unexpected_errors", {})):
        lines.append(("errors", errors))
    return lines
