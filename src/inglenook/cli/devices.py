"""``inglenook devices``: the paired devices. Works whether the daemon runs or not.

A daemon that runs makes the change itself, so it is in force when the command ends. One that cannot
be asked reads the file within a second.
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
    """Print the new device's token, alone."""
    expires_at = None
    if args.expires is not None:
        try:
            expires_at = datetime.now(UTC).timestamp() + parse_duration_s(args.expires)
        except ValueError as exc:
            raise Problem(Code.BAD_REQUEST, f"--expires: {exc}") from exc
    scopes = parse_scopes([name.strip() for name in args.scopes.split(",")])
    more = {} if expires_at is None else {"expires_at": repr(expires_at)}
    told = _ask_daemon(
        args, "add", name=args.name, scopes=",".join(scopes), thinking=args.thinking, **more
    )
    if told is None:
        device, token = _allowlist(args).add(args.name, scopes, expires_at, thinking=args.thinking)
        told = {"device_id": device.device_id, "name": device.name, "token": token}
    note(f"{told['name']} is paired ({told['device_id']}); its token:")
    print(told["token"])


def revoke(args: argparse.Namespace) -> None:
    """Shut a device out.

    Its conversations may be in the prefix cache, which does not know whose it has: it is emptied.
    """
    from inglenook.cli.cache import empty_cache

    told = _ask_daemon(args, "revoke", device=args.device)
    if told is None:
        device = _allowlist(args).revoke(args.device)
        told = {"device_id": device.device_id, "name": device.name}
        empty_cache(_state_dir(args))
    note(f"{told['name']} ({told['device_id']}) is no longer paired")


def rename(args: argparse.Namespace) -> None:
    """Give a device another name."""
    told = _ask_daemon(args, "rename", device=args.device, name=args.name)
    if told is None:
        device = _allowlist(args).rename(args.device, args.name)
        told = {"device_id": device.device_id, "name": device.name}
    note(f"{told['device_id']} is now called {told['name']}")


def thinking(args: argparse.Namespace) -> None:
    """Choose whether the model thinks for a device."""
    told = _ask_daemon(args, "thinking", device=args.device, thinking=args.thinking)
    if told is None:
        device = _allowlist(args).set_thinking(args.device, args.thinking)
        told = {"device_id": device.device_id, "name": device.name, "thinking": device.thinking}
    note(f"{told['name']} ({told['device_id']}) now has thinking {told['thinking']}")


def _ask_daemon(args: argparse.Namespace, change: str, **parameters: str) -> dict[str, Any] | None:
    """Have the daemon change the list; None if none can be asked.

    Raises:
        Problem: If it refuses.
        StartupError: If it cannot, or ends in the middle.
    """
    state_dir = _state_dir(args)
    try:
        # Looked for here: importing what asks takes longer than all else these commands do.
        if not (state_dir / "control.sock").exists():
            return None
    except OSError:  # another user's; the list will say so
        return None
    from inglenook.cli.control import NotReachedError

    try:
        body = asyncio.run(_post(state_dir, change, parameters))
    except NotReachedError:
        return None
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
