"""What a terminal keeps is for its user alone; of a damaged file what is whole is read."""

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
    return UserStateFile({"XDG_DATA_HOME": str(tmp_path)}, "things.json")


def test_what_is_written_is_read(kept: UserStateFile, path: Path) -> None:
    """From nothing at all; nobody else can read the file."""
    assert kept.read(list) == {}
    kept.change(list, lambda _entries: {"one": [1, "zwei"]})

    assert kept.read(list) == {"one": [1, "zwei"]}
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
    UserStateFile(given, "things.json").change(int, dict)

    assert (tmp_path / place / "things.json").exists()


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"null", b"\xff", b"", b"[" * 100_000, b'{"version": 2, "entries": []}'],
)
def test_a_damaged_file_is_empty_and_kept_by_the_next_change(
    kept: UserStateFile, path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One sentence says where."""
    kept.change(int, dict)
    path.write_bytes(content)

    assert kept.read(int) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    kept.change(int, lambda entries: {**entries, "one": 1})

    assert kept.read(int) == {"one": 1}
    assert path.with_name("things.json.damaged").read_bytes() == content


def test_of_a_damaged_file_the_whole_entries_count(
    kept: UserStateFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are in the file that is kept beside it."""
    kept.change(int, lambda _entries: {"one": 1, "two": 2})
    damaged = path.read_text().replace("2\n", '"two"\n').encode()
    path.write_bytes(damaged)

    assert kept.read(int) == {"one": 1}
    assert "entry 'two'" in caplog.text
    kept.change(int, lambda entries: {**entries, "three": 3})

    assert kept.read(int) == {"one": 1, "three": 3}
    assert path.with_name("things.json.damaged").read_bytes() == damaged


def test_a_folder_in_its_place_is_a_sentence(kept: UserStateFile, path: Path) -> None:
    """It is nothing that could be kept beside."""
    path.mkdir(parents=True)

    with pytest.raises(StartupError, match=r"things\.json cannot be read: Is a directory"):
        kept.read(int)


def test_a_folder_that_cannot_be_made_is_a_sentence(kept: UserStateFile, path: Path) -> None:
    """Here a file is in its place."""
    path.parent.write_text("")

    with pytest.raises(StartupError):
        kept.change(int, dict)
