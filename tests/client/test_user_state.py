"""What a terminal keeps is for its user alone, and a damaged file is a sentence."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from inglenook.client.user_state import UserStateFile
from inglenook.common.errors import StartupError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inglenook" / "things.json"


@pytest.fixture
def kept(tmp_path: Path) -> UserStateFile:
    return UserStateFile({"XDG_DATA_HOME": str(tmp_path)}, "things.json", "to begin again")


def test_what_is_written_is_read(kept: UserStateFile, path: Path) -> None:
    """From nothing at all; nobody else can read the file."""
    assert kept.read() == {}
    kept.change(lambda _entries: {"one": [1, "zwei"]})

    assert kept.read() == {"one": [1, "zwei"]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


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
    given = {name: value.format(tmp_path) for name, value in environ.items()}
    UserStateFile(given, "things.json", "").change(dict)

    assert (tmp_path / place / "things.json").exists()


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"null", b"\xff", b"", b"[" * 100_000, b'{"version": 2, "entries": []}'],
)
def test_a_damaged_file_is_a_sentence(kept: UserStateFile, path: Path, content: bytes) -> None:
    """With what to do about it."""
    kept.change(dict)
    path.write_bytes(content)

    with pytest.raises(StartupError, match="delete it to begin again"):
        kept.read()


def test_a_folder_that_cannot_be_made_is_a_sentence(kept: UserStateFile, path: Path) -> None:
    """Here a file is in its place."""
    path.parent.write_text("")

    with pytest.raises(StartupError):
        kept.change(dict)
