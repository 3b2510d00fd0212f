"""The fingerprint of a box's TLS key, or its first characters, as users type it. Kind: rules."""

from __future__ import annotations

import re

#: SHA-256 of the key in base64url without padding, or its first 16 characters (96 bits) at least,
#: which is what the mDNS record and `inglenook pair` show.
_PIN = re.compile(r"[A-Za-z0-9_-]{16,43}")

_PIN_CHARACTERS_SHOWN = 16


def is_pin(text: str) -> bool:
    """Whether this can be the fingerprint of a key."""
    return _PIN.fullmatch(text) is not None


def short_pin(spki_sha256: str) -> str:
    """The part of a fingerprint that people compare."""
    return spki_sha256[:_PIN_CHARACTERS_SHOWN]
