"""Fingerprints of TLS keys, whole or their first characters, as users type them. Kind: rules."""

from __future__ import annotations

import re

#: SHA-256 of the key in base64url without padding, or at least its first 16 characters (96 bits),
#: as the mDNS record and `inglenook pair` show it.
_PIN = re.compile(r"[A-Za-z0-9_-]{16,43}")

_PIN_CHARACTERS_SHOWN = 16


def is_pin(text: str) -> bool:
    """Whether a text has the form of a key's fingerprint."""
    return _PIN.fullmatch(text) is not None


def short_pin(spki_sha256: str) -> str:
    """The first characters of a fingerprint, for people to compare."""
    return spki_sha256[:_PIN_CHARACTERS_SHOWN]
