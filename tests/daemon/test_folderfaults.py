"""Whatever keeps a state folder from being used is one sentence, with what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from inglenook.daemon.folderfaults import folder_fault, nearest_folder


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "is on a disk that is read-only; .* repair it, or choose another folder"),
        (errno.ENOSPC, "is on a disk that is full; make room there"),
        (errno.EDQUOT, "is on a disk that is full; make room there"),
        (errno.EISDIR, ": cannot make a socket, at /x/control.sock: Is a directory"),
    ],
)
def test_a_fault_has_a_sentence(tmp_path: Path, number: int, words: str) -> None:
    """About the setting, which is what its owner can change."""
    exc = OSError(number, os.strerror(number), "/x/control.sock")

    assert_says(tmp_path, exc, rf"^state_dir: {tmp_path}.*{words}")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_what_a_file_system_lacks_is_told_by_its_kind(number: int) -> None:
    """Each driver has its own word for it; here it is the kernel's own of processes."""
    text = str(folder_fault(Path("/proc/self"), "make a socket", OSError(number, "No")))

    assert text == (
        "state_dir: /proc/self is on a file system (proc) on which a daemon cannot make a socket"
        " (No); choose a folder on one made for Linux, such as ext4, btrfs or xfs"
    )


def test_a_broken_disk_is_not_called_the_wrong_kind(tmp_path: Path) -> None:
    """This one has all that is needed, but for what it says now."""
    exc = OSError(errno.EIO, "Input/output error")

    assert_says(tmp_path, exc, "cannot make a socket: Input/output error$")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_user_is_told_as_such() -> None:
    """Not as a lack of the file system."""
    exc = PermissionError(errno.EACCES, "Permission denied")

    assert_says(Path("/usr/inglenook"), exc, "this user may not write there; run it as the user")


def assert_says(state_dir: Path, exc: OSError, pattern: str) -> None:
    with pytest.raises(Exception, match=pattern):
        raise folder_fault(state_dir, "make a socket", exc)


def test_before_the_first_start_it_is_the_folder_around(tmp_path: Path) -> None:
    """However deep; and the folder itself once it is there."""
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path
    assert nearest_folder(tmp_path) == tmp_path
