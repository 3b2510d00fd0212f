"""A file is replaced whole or not at all, and is for whom it should be."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from inglenook.common.wholefile import write_whole


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_its_permissions_are_as_asked(tmp_path: Path, umask: int, mode: int) -> None:
    """Whatever the umask, and whatever the file before it had."""
    before = os.umask(umask)
    try:
        for content in (b"one", b"two"):
            write_whole(tmp_path / "file", content, mode=mode)

            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
            assert (tmp_path / "file").read_bytes() == content
            (tmp_path / "file").chmod(0o666)
    finally:
        os.umask(before)


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    """The temporary file takes the place of the old one."""
    write_whole(tmp_path / "file", b"one")
    write_whole(tmp_path / "file", b"two")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """Here the name is taken by a folder, which cannot be replaced."""
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "taken", b"content")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken").is_dir()


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """Root cannot be led to overwrite a file elsewhere."""
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")

    write_whole(tmp_path / "file", b"content")

    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


def test_a_reader_sees_the_old_file_or_the_new(tmp_path: Path) -> None:
    """Never an empty or half-written one, however often it looks."""
    path = tmp_path / "file"
    versions = {bytes([letter]) * 100_000 for letter in b"ab"}
    write_whole(path, b"a" * 100_000)
    done = threading.Event()

    def write() -> None:
        for letter in b"ba" * 10:
            write_whole(path, bytes([letter]) * 100_000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not done.is_set():
            assert path.read_bytes() in versions
    finally:
        writer.join()
