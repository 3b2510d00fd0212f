"""A fingerprint is named by its start, which must be long enough to fit one key."""

from __future__ import annotations

import pytest

from inglenook.client.fingerprint import is_pin, short_pin


@pytest.mark.parametrize("text", ["", "a" * 15, "a" * 44, "a" * 15 + "+", "a" * 16 + "\n"])
def test_what_cannot_be_a_fingerprint_is_told_from_one(text: str) -> None:
    """Too short would fit too many keys."""
    assert not is_pin(text)
    assert is_pin("a" * 16)
    assert short_pin("a" * 43) == "a" * 16
