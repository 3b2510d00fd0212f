"""State files of this user's terminal, retained between commands. Kind: hands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inglenook.common.errors import StartupError
from inglenook.common.private_files import locked, read_private, write_private

#: Version 1 was the entries alone, without a version.
_VERSION = 2

#: A change takes milliseconds; who holds the lock this long is stopped or stuck.
_LOCK_WAIT_S = 5.0

Entries = dict[str, Any]


class UserStateFile:
    """Entries by name in one JSON file in ``$XDG_DATA_HOME/inglenook``, for this user only.

    Other terminals may change it at the same time; each change is made to what is there then.
    """

    def __init__(self, environ: Mapping[str, str], name: str, purpose: str) -> None:
        """Name the file; ``purpose`` follows "delete it" where somebody has to."""
        home = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "~")) / ".local/share"
        self._path = Path(home).expanduser() / "inglenook" / name
        self._purpose = purpose

    def read(self) -> Entries:
        """Give what is kept; empty if nothing is.

        Raises:
            StartupError: If the file cannot be read, makes no sense, or a newer version wrote it.
        """
        try:
            content = json.loads(read_private(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as exc:
            raise StartupError(f"{self._path} cannot be read; delete it {self._purpose}") from exc
        if not isinstance(content, dict):
            raise self.damaged()
        version = content.get("version", 1)
        if version == 1:
            return content
        if version != _VERSION:
            raise StartupError(
                f"{self._path} was written by another version of Inglenook; use that one, or "
                f"delete it {self._purpose}"
            )
        entries = content.get("entries")
        if not isinstance(entries, dict):
            raise self.damaged()
        return entries

    def change(self, change: Callable[[Entries], Mapping[str, Any]]) -> None:
        """Keep what ``change`` makes of what is kept now.

        Raises:
            StartupError: If it cannot be read or written, or another holds it for seconds.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._path, _LOCK_WAIT_S):
                content = {"version": _VERSION, "entries": change(self.read())}
                write_private(self._path, json.dumps(content, indent=2).encode())
        except OSError as exc:
            raise StartupError(f"{self._path} cannot be written: {exc.strerror}") from exc

    def damaged(self) -> StartupError:
        """What to raise if its content makes no sense."""
        return StartupError(f"{self._path} is damaged; delete it {self._purpose}")
