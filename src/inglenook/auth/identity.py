"""The box's own name for itself: made once, never changed. Kind: hands."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from inglenook.auth.files import read_private, write_private
from inglenook.errors import StartupError

_SERVER_ID = re.compile(rb"([0-9a-f]{8})\s*")


def server_id(state_dir: Path) -> str:
    """Give the id by which phones know this box again, 8 hex digits; makes it the first time.

    Raises:
        StartupError: If it cannot be read, or kept.
    """
    path = state_dir / "server_id"
    try:
        match = _SERVER_ID.fullmatch(read_private(path))
    except FileNotFoundError:
        return _make(path)
    except OSError as exc:
        raise StartupError(
            f"The box's id in {path} cannot be read: {exc.strerror}; make sure it belongs to the "
            "user this runs as."
        ) from exc
    if match is None:
        raise StartupError(
            f"{path} does not hold 8 hex digits; restore a copy, or delete it and pair every phone "
            "again."
        )
    return match[1].decode()


def _make(path: Path) -> str:
    made = secrets.token_hex(4)
    try:
        write_private(path, f"{made}\n".encode())
    except OSError as exc:
        raise StartupError(
            f"The box's id cannot be kept in {path}: {exc.strerror}; make sure its folder exists, "
            "has space, and belongs to the user this runs as."
        ) from exc
    return made
