"""Tokens of this user's terminal, one a box, each with the box's TLS key. Kind: hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from inglenook.client.user_state import UserStateFile

_Pin = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,43}$")]


@dataclass(frozen=True, slots=True)
class BoxToken:
    """This terminal's token for a box.

    Attributes:
        token: The token.
        spki_sha256: Fingerprint of the TLS key of the box that issued it; None if it was issued
            without TLS, or stored by an older version. It must be sent to no other key.
    """

    token: str
    spki_sha256: _Pin | None = None


class TokenStore:
    """Tokens by server id, in ``$XDG_DATA_HOME/inglenook/tokens.json``, for this user only."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = UserStateFile(environ, "tokens.json")

    def get(self, server_id: str) -> BoxToken | None:
        """Return the token for a box, if there is one."""
        return self.all().get(server_id)

    def all(self) -> dict[str, BoxToken]:
        """Return all tokens, without damaged ones.

        Raises:
            StartupError: If the file cannot be read.
        """
        return self._file.read(BoxToken)

    def put(self, server_id: str, key: BoxToken) -> None:
        """Store a token.

        Raises:
            StartupError: If the file cannot be read or written.
        """
        self._file.change(BoxToken, lambda keys: {**keys, server_id: key})

    def drop(self, server_id: str, token: str) -> None:
        """Delete a token that the box has refused, unless a newer one has replaced it."""

        def without(keys: dict[str, BoxToken]) -> dict[str, BoxToken]:
            if server_id in keys and keys[server_id].token == token:
                del keys[server_id]
            return keys

        self._file.change(BoxToken, without)
