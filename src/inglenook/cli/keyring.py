"""The tokens this user's terminal was given, one a box."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from inglenook.auth.files import read_private, write_private
from inglenook.errors import StartupError


class Keyring:
    """Tokens by server id, in ``$XDG_DATA_HOME/inglenook/tokens.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "~")) / ".local/share"
        self._path = Path(home).expanduser() / "inglenook" / "tokens.json"

    def get(self, server_id: str) -> str | None:
        """The token for a box, if there is one."""
        return self._read().get(server_id)

    def put(self, server_id: str, token: str) -> None:
        """Keep a token."""
        self._write({**self._read(), server_id: token})

    def drop(self, server_id: str) -> None:
        """Forget a token that the box no longer takes."""
        self._write({box: token for box, token in self._read().items() if box != server_id})

    def _write(self, tokens: dict[str, str]) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, json.dumps(tokens, indent=2).encode())
        except OSError as exc:
            raise StartupError(f"{self._path} cannot be written: {exc.strerror}") from exc

    def _read(self) -> dict[str, str]:
        try:
            tokens = json.loads(read_private(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise StartupError(f"{self._path} cannot be read; delete it to pair again") from exc
        if not isinstance(tokens, dict):
            raise StartupError(f"{self._path} is damaged; delete it to pair again")
        return {str(key): str(value) for key, value in tokens.items()}
