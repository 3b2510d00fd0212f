"""``inglenook devices``: who may come in. Works whether the daemon runs or not."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import parse_scopes
from inglenook.cli.terminal.output import note
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.units import parse_duration_s
from inglenook.config import load_config


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
    device, token = _allowlist(args).add(args.name, scopes, expires_at, thinking=args.thinking)
    note(f"{device.name} is paired ({device.device_id}); its token:")
    print(token)


def revoke(args: argparse.Namespace) -> None:
    """Shut a device out; a daemon that runs notices within a second.

    What it said may be in the prefix cache, which nobody can tell apart: all of it goes.
    """
    from inglenook.cli.cache import empty_cache

    device = _allowlist(args).revoke(args.device)
    empty_cache(load_config(args.config, os.environ).state_dir)
    note(f"{device.name} ({device.device_id}) is no longer paired")


def rename(args: argparse.Namespace) -> None:
    """Give a device another name."""
    device = _allowlist(args).rename(args.device, args.name)
    note(f"{device.device_id} is now called {device.name}")


def thinking(args: argparse.Namespace) -> None:
    """Choose whether the model thinks for a device; a daemon that runs notices within a second."""
    device = _allowlist(args).set_thinking(args.device, args.thinking)
    note(f"{device.name} ({device.device_id}) now has thinking {device.thinking}")


def _allowlist(args: argparse.Namespace) -> Allowlist:
    state_dir = load_config(args.config, os.environ).state_dir
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StartupError(f"state_dir: {state_dir} cannot be made: {exc.strerror}") from exc
    allowlist = Allowlist(state_dir / "devices.json")
    allowlist.load()
    return allowlist


def _day(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
