"""A terminal's tokens are kept for its user alone, one a box."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from inglenook.cli.keyring import Keyring
from inglenook.errors import StartupError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inglenook" / "tokens.json"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring({"XDG_DATA_HOME": str(tmp_path)})


def test_a_token_is_kept_and_forgotten(keyring: Keyring, path: Path) -> None:
    """The other box's stays; nobody else can read the file."""
    assert keyring.get("0123abcd") is None
    keyring.put("0123abcd", "one")
    keyring.put("4567cdef", "two")
    assert (keyring.get("0123abcd"), keyring.get("4567cdef")) == ("one", "two")

    keyring.drop("0123abcd")
    keyring.drop("0123abcd")

    assert (keyring.get("0123abcd"), keyring.get("4567cdef")) == (None, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"XDG_DATA_HOME": "{}/data", "HOME": "/nowhere"}, "data/inglenook"),
        ({"HOME": "{}"}, ".local/share/inglenook"),
        ({"XDG_DATA_HOME": "", "HOME": "{}"}, ".local/share/inglenook"),
    ],
)
def test_the_file_stands_where_data_of_users_does(
    tmp_path: Path, environ: dict[str, str], place: str
) -> None:
    """As the XDG base directories say."""
    Keyring({name: value.format(tmp_path) for name, value in environ.items()}).put("id", "token")

    assert (tmp_path / place / "tokens.json").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff", b""])
def test_a_damaged_file_is_a_sentence(keyring: Keyring, path: Path, content: bytes) -> None:
    """With what to do about it."""
    keyring.put("id", "token")
    path.write_bytes(content)

    with pytest.raises(StartupError, match="delete it to pair again"):
        keyring.get("id")


def test_a_folder_that_cannot_be_made_is_a_sentence(keyring: Keyring, path: Path) -> None:
    """Here a file is in its place."""
    path.parent.write_text("")

    with pytest.raises(StartupError):
        keyring.put("id", "token")
