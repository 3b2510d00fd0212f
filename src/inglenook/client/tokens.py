"""Tokens of this user's terminal, one a box, each with the box's TLS key. Kind: hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec

from inglenook.client.user_state import Entries, UserStateFile

_Pin = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,43}$")]


@dataclass(frozen=True, slots=True)
class BoxToken:
    """What this terminal has of a box.

    Attributes:
        token: Its own.
        spki_sha256: Fingerprint of the TLS key of the box that gave it; None if it was given
            without TLS, or by a version that did not keep it. The token must go nowhere else.
    """

    token: str
    spki_sha256: _Pin | None = None


class TokenStore:
    """By server id, in ``$XDG_DATA_HOME/inglenook/tokens.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = UserStateFile(environ, "tokens.json", "to pair again")

    def get(self, server_id: str) -> BoxToken | None:
        """What there is for a box, if anything."""
        return self.all().get(server_id)

    def all(self) -> dict[str, BoxToken]:
        """All there is.

        Raises:
            StartupError: If the file cannot be read.
        """
        return self._keys(self._file.read())

    def put(self, server_id: str, key: BoxToken) -> None:
        """Keep a token."""
        self._file.change(lambda entries: _kept({**self._keys(entries), server_id: key}))

    def drop(self, server_id: str, token: str) -> None:
        """Forget a token that the box no longer takes; one that came in its place stays."""

        def without(entries: Entries) -> dict[str, Any]:
            keys = self._keys(entries)
            if server_id in keys and keys[server_id].token == token:
                del keys[server_id]
            return _kept(keys)

        self._file.change(without)

    def _keys(self, entries: Entries) -> dict[str, BoxToken]:
        # The first version kept tokens alone.
        full = {
            box: {"token": value} if isinstance(value, str) else value
            for box, value in entries.items()
        }
        try:
            return msgspec.convert(full, dict[str, BoxToken])
        except msgspec.ValidationError as exc:
            raise self._file.damaged() from exc


def _kept(keys: Mapping[str, BoxToken]) -> dict[str, Any]:
    return {box: asdict(key) for box, key in keys.items()}
