"""Secret files are private, whole, and stay with whom they belong to."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.common.private_files import READ_BYTES_MAX, locked, read_private, write_private

WAIT_S = 30.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whatever the umask."""
    write_private(tmp_path / "secret", b"content")

    assert mode(tmp_path / "secret") == 0o600
    assert read_private(tmp_path / "secret") == b"content"


@pytest.mark.usefixtures("open_umask")
def test_a_replaced_file_becomes_private(tmp_path: Path) -> None:
    """A file somebody made readable is not so for long."""
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert mode(path) == 0o600
    assert read_private(path) == b"new"


def test_a_folder_is_no_file_and_is_not_left_open(tmp_path: Path) -> None:
    """However often the device list is looked at."""
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(IsADirectoryError):
        read_private(tmp_path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """Memory is not filled with somebody's misplaced video."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(READ_BYTES_MAX + 1)

    with pytest.raises(OSError, match="too large"):
        read_private(path)


@needs_root
def test_what_root_writes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    """The daemon can still read what ``sudo inglenook devices`` wrote, and lock against it."""
    os.chown(tmp_path, 12345, 23456)

    with locked(tmp_path / "secret", WAIT_S):
        write_private(tmp_path / "secret", b"content")

    for path in tmp_path.iterdir():
        assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (12345, 23456, 0o600)


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    """Another thread counts as another, as does another process."""
    path = tmp_path / "file"
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with locked(path, WAIT_S):
            inside.set()
            leave.wait(WAIT_S)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert inside.wait(WAIT_S)
        with pytest.raises(TimeoutError, match="another process has held its lock for 0 s"):
            locked(path, 0).__enter__()
        leave.set()
        with locked(path, WAIT_S):
            order.append("second")
    finally:
        leave.set()
        thread.join()
    assert order == ["first", "second"]


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    """A change that fails does not block the next."""
    with pytest.raises(RuntimeError), locked(tmp_path / "file", WAIT_S):
        raise RuntimeError

    with locked(tmp_path / "file", 0):
        pass


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Root is not led to open a file elsewhere."""
    (tmp_path / "file.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic link"), locked(tmp_path / "file", WAIT_S):
        pass

    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """One in another user's folder would hold up root for as long as nobody writes."""
    path = tmp_path / "tls.key"
    os.mkfifo(path)

    with pytest.raises(OSError, match="not a regular file"):
        read_private(path)
