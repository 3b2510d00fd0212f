"""Commands and queries to systemd, by its own programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from inglenook.common.errors import StartupError

#: Longer than any unit of ours may take to start or to stop.
_PATIENCE_S = 240.0

_ASK_S = 10.0


def require_systemd() -> None:
    """Check that this machine was booted with systemd: sd_booted(3).

    Raises:
        StartupError: If not.
    """
    if not Path("/run/systemd/system").is_dir():
        raise StartupError(
            "systemd does not run on this machine; have whatever does start `inglenook run`"
        )


def systemctl(*words: str) -> None:
    """Run systemctl, and wait for it.

    Raises:
        StartupError: If it fails; with systemctl's output.
    """
    run(["systemctl", "--quiet", *words])


def run(words: Sequence[str]) -> None:
    """Run a system program to its end.

    Raises:
        StartupError: If it fails, is missing, or does not end; with its output.
    """
    try:
        done = subprocess.run(words, capture_output=True, timeout=_PATIENCE_S, check=False)
    except FileNotFoundError as exc:
        raise StartupError(f"there is no {words[0]} on this machine") from exc
    except subprocess.TimeoutExpired as exc:
        raise StartupError(f"`{' '.join(words)}` did not end within {_PATIENCE_S:.0f} s") from exc
    if done.returncode != 0:
        output = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise StartupError(f"`{' '.join(words)}` failed: {output or done.returncode}")


def show(unit: str, *properties: str) -> dict[str, list[str]]:
    """Query a unit's properties; some have several values, unknown ones none.

    Raises:
        StartupError: If systemd cannot be asked.
    """
    words = ["systemctl", "show", unit, f"--property={','.join(properties)}"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_ASK_S, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as exc:
        raise StartupError("systemd does not answer; it may not run on this machine") from exc
    if done.returncode != 0:
        output = done.stderr.decode(errors="replace").strip()
        raise StartupError(f"systemd cannot be asked about {unit}: {output}")
    found: dict[str, list[str]] = {name: [] for name in properties}
    for line in done.stdout.decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if value and name in found:
            found[name].append(value)
    return found


def last_words(unit: str, count: int) -> list[str]:
    """Return the last lines of a unit's log; empty if this user may not read it."""
    words = ["journalctl", f"--unit={unit}", f"--lines={count}", "--output=cat", "--no-pager", "-q"]
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(words, capture_output=True, timeout=_ASK_S, env=environ, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").splitlines()
