"""``inglenook devices``: the paired devices. Works with and without a running daemon.

A running daemon makes the change itself, so it is in force when the command ends. One that cannot
be reached reads the file within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import parse_scopes
from inglenook.cli.terminal.output import note
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.units import parse_duration_s
from inglenook.config import load_config

_NOT_FOUND = 404


def list_devices(args: argparse.Namespace) -> None:
    """Print one device a line."""
    from inglenook.cli.terminal.table import print_table

    allowlist = _allowlist(args)
    rows = [
        (
            device.device_id,
            device.name,
            ",".join(device.scopes),
            _day(device.created_at),
            _day(device.last_seen_at),
            _day(device.expires_at),
            device.thinking,
        )
        for device in allowlist.devices
    ]
    if not rows:
        note("no device is paired; `inglenook pair` lets one in")
        return
    print_table(("id", "name", "scopes", "paired", "last seen", "expires", "thinking"), rows)


def add(args: argparse.Namespace) -> None:
    """Add a device, and print its token alone."""
    expires_at = None
    if args.expires is not None:
        try:
            expires_at = datetime.now(UTC).timestamp() + parse_duration_s(args.expires)
        except ValueError as exc:
            raise Problem(Code.BAD_REQUEST, f"--expires: {exc}") from exc
    scopes = parse_scopes([name.strip() for name in args.scopes.split(",")])
    more = {} if expires_at is None else {"expires_at": repr(expires_at)}
    reply = _ask_daemon(
        args, "add", name=args.name, scopes=",".join(scopes), thinking=args.thinking, **more
    )
    if reply is None:
        device, token = _allowlist(args).add(args.name, scopes, expires_at, thinking=args.thinking)
        reply = {"device_id": device.device_id, "name": device.name, "token": token}
    note(f"{reply['name']} is paired ({reply['device_id']}); its token:")
    print(reply["token"])


def revoke(args: argparse.Namespace) -> None:
    """Revoke a device.

    Its conversations may be in the prefix cache, which does not know devices: all is deleted.
    """
    from inglenook.cli.cache import empty_cache

    reply = _ask_daemon(args, "revoke", device=args.device)
    if reply is None:
        device = _allowlist(args).revoke(args.device)
        reply = {"device_id": device.device_id, "name": device.name}
        empty_cache(_state_dir(args))
    note(f"{reply['name']} ({reply['device_id']}) is no longer paired")


def rename(args: argparse.Namespace) -> None:
    """Give a device another name."""
    reply = _ask_daemon(args, "rename", device=args.device, name=args.name)
    if reply is None:
        device = _allowlist(args).rename(args.device, args.name)
        reply = {"device_id": device.device_id, "name": device.name}
    note(f"{reply['device_id']} is now called {reply['name']}")


def thinking(args: argparse.Namespace) -> None:
    """Choose whether the model thinks for a device."""
    reply = _ask_daemon(args, "thinking", device=args.device, thinking=args.thinking)
    if reply is None:
        device = _allowlist(args).set_thinking(args.device, args.thinking)
        reply = {"device_id": device.device_id, "name": device.name, "thinking": device.thinking}
    note(f"{reply['name']} ({reply['device_id']}) now has thinking {reply['thinking']}")


def _ask_daemon(args: argparse.Namespace, change: str, **parameters: str) -> dict[str, Any] | None:
    """Have the daemon change the list; returns None if no daemon can be reached.

    Raises:
        Problem: If it refuses.
        StartupError: If it cannot, or ends in the middle.
    """
    state_dir = _state_dir(args)
    try:
        # Checked first: the client is slow to import.
        if not (state_dir / "control.sock").exists():
            return None
    except OSError:  # another user's; reading the list fails, too
        return None
    from inglenook.cli.control import NoAnswerError, NotReachedError

    try:
        body = asyncio.run(_post(state_dir, change, parameters))
    except NotReachedError:
        return None
    except NoAnswerError:
        if change != "revoke":
            raise
        return None  # it counts at once; a stuck daemon finds the file changed
    if body is None or "error" not in body:
        return body
    code, text = Code(body["error"]["code"]), body["error"]["message"]
    raise StartupError(text) if code is Code.INTERNAL else Problem(code, text)


async def _post(state_dir: Path, change: str, parameters: dict[str, str]) -> dict[str, Any] | None:
    from inglenook.cli.control import control_session

    async with (
        control_session(state_dir) as session,
        session.post(f"/devices/{change}", params=parameters) as answer,
    ):
        # A daemon of an earlier version has no such call; it reads the file.
        body: dict[str, Any] | None = None if answer.status == _NOT_FOUND else await answer.json()
        return body


def _state_dir(args: argparse.Namespace) -> Path:
    return load_config(args.config, os.environ).state_dir


def _allowlist(args: argparse.Namespace) -> Allowlist:
    state_dir = _state_dir(args)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StartupError(f"state_dir: {state_dir} cannot be made: {exc.strerror}") from exc
    allowlist = Allowlist(state_dir / "devices.json")
    allowlist.load()
    return allowlist


def _day(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
