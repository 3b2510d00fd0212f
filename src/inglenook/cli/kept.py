"""Small files that this user's terminal keeps from one command to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inglenook.auth.files import read_private, write_private
from inglenook.errors import StartupError


class KeptFile:
    """One JSON object in ``$XDG_DATA_HOME/inglenook``, for this user only."""

    def __init__(self, environ: Mapping[str, str], name: str, purpose: str) -> None:
        """Name the file; ``purpose`` follows "delete it" where somebody has to."""
        home = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "~")) / ".local/share"
        self._path = Path(home).expanduser() / "inglenook" / name
        self._purpose = purpose

    def read(self) -> dict[str, Any]:
        """Give what is kept; empty if nothing is.

        Raises:
            StartupError: If the file cannot be read, or makes no sense.
        """
        try:
            content = json.loads(read_private(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise StartupError(f"{self._path} cannot be read; delete it {self._purpose}") from exc
        if not isinstance(content, dict):
            raise self.damaged()
        return content

    def write(self, content: Mapping[str, Any]) -> None:
        """Keep this instead.

        Raises:
            StartupError: If it cannot be written.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, json.dumps(content, indent=2).encode())
        except OSError as exc:
            raise StartupError(f"{self._path} cannot be written: {exc.strerror}") from exc

    def damaged(self) -> StartupError:
        """What to raise if its content makes no sense."""
        return StartupError(f"{self._path} is damaged; delete it {self._purpose}")
