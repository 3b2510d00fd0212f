"""``inglenook pair``: let a new device in."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp

from inglenook.cli.control import control_session
from inglenook.cli.terminal.output import say
from inglenook.cli.terminal.qr import print_pairing
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.config import load_config


def pair(args: argparse.Namespace) -> int:
    """Open a pairing window, print its code, and wait until a device has paired."""
    config = load_config(args.config, os.environ)
    return asyncio.run(_pair(config.state_dir, args.name))


async def _pair(state_dir: Path, name: str | None) -> int:
    async with control_session(state_dir) as session:
        window = await open_window(session, name)
        print_pairing(
            urls=window["urls"],
            code=window["code"],
            secret=window["secret"],
            server_id=window["server_id"],
            spki_sha256=window["spki_sha256"],
        )
        # Until the window closes: it waits for a person.
        waiting = aiohttp.ClientTimeout(total=None)
        code = {"code": window["code"]}
        async with session.get("/pair/wait", params=code, timeout=waiting) as answer:
            device = await answer.json()
    if device is None:
        raise StartupError("no device has paired; run `inglenook pair` again for a new code")
    say(f"{device['name']} is paired ({device['device_id']}).", first="  ", rest="  ")
    return 0


async def open_window(session: aiohttp.ClientSession, name: str | None) -> dict[str, Any]:
    """Open a pairing window; returns the body that ``gateway.control`` sends.

    Raises:
        Problem: If the name is refused.
    """
    params = {} if name is None else {"name": name}
    async with session.post("/pair/open", params=params) as answer:
        body: dict[str, Any] = await answer.json()
    if "error" in body:
        raise Problem(Code(body["error"]["code"]), body["error"]["message"])
    return body
