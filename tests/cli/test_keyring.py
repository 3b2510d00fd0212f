"""A terminal's tokens are kept, one a box."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.cli.keyring import Keyring
from inglenook.errors import StartupError


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring({"XDG_DATA_HOME": str(tmp_path)})


def test_a_token_is_kept_and_forgotten(keyring: Keyring) -> None:
    """The other box's stays."""
    assert keyring.get("0123abcd") is None
    keyring.put("0123abcd", "one")
    keyring.put("4567cdef", "two")
    assert (keyring.get("0123abcd"), keyring.get("4567cdef")) == ("one", "two")

    keyring.drop("0123abcd")
    keyring.drop("0123abcd")

    assert (keyring.get("0123abcd"), keyring.get("4567cdef")) == (None, "two")


def test_a_damaged_file_is_a_sentence(keyring: Keyring, tmp_path: Path) -> None:
    """With what to do about it."""
    keyring.put("id", "token")
    (tmp_path / "inglenook" / "tokens.json").write_bytes(b"{")

    with pytest.raises(StartupError, match=r"tokens\.json cannot be read; delete it to pair again"):
        keyring.get("id")
