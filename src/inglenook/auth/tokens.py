"""Device tokens: minted, parsed, compared. Kind: rules.

A token is ``ingle_<device id>_<secret>``: the prefix lets scanners for leaked secrets find it, the
device id finds its entry in the allowlist, and only the SHA-256 of the whole is stored. A plain
hash is right for a secret of 256 random bits: it cannot be guessed, and a slow hash would let
strangers keep a small board busy.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_DEVICE_ID_BYTES = 5  # 8 characters of base32, none left over
_SECRET_BYTES = 32
_TOKEN = re.compile(r"ingle_([a-z2-7]{8})_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A new token, at the only moment it is known in full.

    Attributes:
        device_id: 8 characters, safe to show and to log.
        token: The whole token; sent to the device and not stored.
        sha256: The stored hash, 64 hex digits.
    """

    device_id: str
    token: str = field(repr=False)
    sha256: str


def mint(entropy: Callable[[int], bytes]) -> NewToken:
    """Make a token.

    Args:
        entropy: Gives that many unpredictable bytes, as `secrets.token_bytes` does.
    """
    device_id = base64.b32encode(entropy(_DEVICE_ID_BYTES)).decode().lower()
    secret = base64.urlsafe_b64encode(entropy(_SECRET_BYTES)).decode().rstrip("=")
    token = f"ingle_{device_id}_{secret}"
    return NewToken(device_id, token, _sha256(token))


def parse(text: str) -> str | None:
    """Return the device id in a token, or None if it is no token of ours."""
    match = _TOKEN.fullmatch(text)
    return None if match is None else match[1]


def matches(stored_sha256: str, token: str) -> bool:
    """Return whether the token has the stored hash, in constant time."""
    return hmac.compare_digest(stored_sha256.encode(), _sha256(token).encode())


def _sha256(token: str) -> str:
    # "replace": a lone surrogate cannot be encoded, and no real token holds a question mark.
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
