"""The tokens this user's terminal was given, one a box."""

from __future__ import annotations

from collections.abc import Mapping

from inglenook.cli.kept import KeptFile


class Keyring:
    """Tokens by server id, in ``$XDG_DATA_HOME/inglenook/tokens.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = KeptFile(environ, "tokens.json", "to pair again")

    def get(self, server_id: str) -> str | None:
        """The token for a box, if there is one."""
        return self._read().get(server_id)

    def put(self, server_id: str, token: str) -> None:
        """Keep a token."""
        self._file.write({**self._read(), server_id: token})

    def drop(self, server_id: str) -> None:
        """Forget a token that the box no longer takes."""
        self._file.write({box: token for box, token in self._read().items() if box != server_id})

    def _read(self) -> dict[str, str]:
        return {key: str(value) for key, value in self._file.read().items()}
