"""What the box keeps of its identity: an id for ever, a host name while it can. Kind: hands."""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

from inglenook.auth.files import read_private, write_private
from inglenook.errors import StartupError

logger = logging.getLogger(__name__)

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


class KeptHostName:
    """The host name the box was last announced by, so that links phones keep stay good.

    It differs from the one that follows from the box's name where another device had that already.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "host_name"
        self._name: str | None = None
        self._unwritten: str | None = None

    def read(self, derived: str) -> str | None:
        """Give the name kept, if it is ``derived`` or a variant of it; None otherwise."""
        try:
            name = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        self._name = name
        return name if name == derived or name.startswith(f"{derived}-") else None

    def keep(self, name: str) -> None:
        """Keep another name. A disk that cannot costs no more than a changed link, one day.

        It is tried again whenever this is called, and said once.
        """
        if name == self._name:
            return
        try:
            write_private(self._path, name.encode())
        except OSError as exc:
            if name != self._unwritten:
                logger.warning("%s cannot be written: %s", self._path, exc.strerror)
            self._unwritten = name
        else:
            self._name, self._unwritten = name, None
