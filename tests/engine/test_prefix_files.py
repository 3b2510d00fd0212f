"""The command line can see and empty the cache's folder while no engine runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.engine.prefix_files import folder_bytes, purge_folder

ONE, OTHER = "1" * 32, "a" * 32
KEY = "0123456789abcdef" * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models' blocks, and what somebody else put beside them."""
    for name, data in {
        f"{ONE}/{KEY}.kv": b"12345",
        f"{ONE}/{KEY}.tmp": b"123",
        f"{OTHER}/{KEY}.kv": b"1234567",
        f"{OTHER}/notes.txt": b"mine",
        f"photos/{KEY}.kv": b"mine",
        "notes.txt": b"mine",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_bytes_are_counted_for_each_model(folder: Path) -> None:
    """Of our files only."""
    assert folder_bytes(folder) == {ONE: 8, OTHER: 7}


def test_purging_removes_every_models_files_and_no_others(folder: Path) -> None:
    """And a folder that is empty then."""
    assert purge_folder(folder) == 15
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        OTHER,
        f"{OTHER}/notes.txt",
        "notes.txt",
        "photos",
        f"photos/{KEY}.kv",
    ]
    assert folder_bytes(folder) == {}


def test_what_a_link_leads_to_is_not_ours(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a folder nor a file."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / f"{KEY}.kv").write_bytes(b"mine")
    (folder / ("b" * 32)).symlink_to(elsewhere)
    (folder / ONE / f"{'f' * 32}.kv").symlink_to(elsewhere / f"{KEY}.kv")

    assert purge_folder(folder) == 15
    assert (elsewhere / f"{KEY}.kv").read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """The cache was never used."""
    assert folder_bytes(tmp_path / "none") == {}
    assert purge_folder(tmp_path / "none") == 0


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Nobody should believe that it is empty."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        folder_bytes(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        purge_folder(tmp_path / "file")
