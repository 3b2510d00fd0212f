"""A start claims the folder its state is in, and holds it."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from inglenook.common.errors import StartupError
from inglenook.daemon.statefolder import (
    Holder,
    claim_state_folder,
    held_state_folder,
    holder_of,
    keeps_files_private,
    try_state_folder,
)


def test_a_folder_is_made_for_nobody_else(tmp_path: Path) -> None:
    """With those above it; one that is there is taken as it is."""
    folder = tmp_path / "a" / "b"
    for _start in range(2):
        claim_state_folder(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize(("owner", "name"), [(65534, "nobody"), (61234, "user 61234")])
def test_root_leaves_nothing_in_a_folder_of_somebody_elses(
    tmp_path: Path, owner: int, name: str
) -> None:
    """As the service's, which could not read it."""
    os.chown(tmp_path, owner, owner)

    with pytest.raises(StartupError, match=f"state_dir: .* belongs to {name}, who could not read"):
        claim_state_folder(tmp_path)


def test_a_folder_is_held_by_one_daemon(tmp_path: Path) -> None:
    """The other is told which process has it, and what one does about it."""
    with held_state_folder(tmp_path):
        assert holder_of(tmp_path) == Holder("daemon", os.getpid())
        words = rf"already running, with the state in {tmp_path} \(process {os.getpid()}\)"
        with pytest.raises(StartupError, match=words):
            held_state_folder(tmp_path).__enter__()
    assert holder_of(tmp_path) is None

    with held_state_folder(tmp_path):
        pass


def test_a_holder_that_has_not_said_who_it_is_counts_as_a_daemon(tmp_path: Path) -> None:
    """On a full disk it cannot."""
    with (tmp_path / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = holder_of(tmp_path)
        with pytest.raises(StartupError, match="its process id is not known"):
            held_state_folder(tmp_path).__enter__()

    assert holder is not None
    assert holder.is_daemon


def test_looking_who_holds_it_does_not_stop_a_start(tmp_path: Path) -> None:
    """`inglenook status` in a loop, beside a box that is started again and again."""
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            holder_of(tmp_path)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            with held_state_folder(tmp_path):
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_who_holds_a_folder_that_is_none_can_be_asked(tmp_path: Path) -> None:
    """Nobody; a file in its place is a sentence."""
    assert holder_of(tmp_path / "missing") is None
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"state_dir: .* cannot tell whether a daemon runs"):
        holder_of(tmp_path / "file")


@pytest.mark.parametrize("there", [True, False])
def test_a_good_folder_is_tried_and_left_as_it_was(there: bool) -> None:
    """While a daemon runs there too; before the first start in the folder around it."""
    with TemporaryDirectory(prefix="box") as folder:
        state_dir = Path(folder) / ("" if there else "state")
        if there:
            with held_state_folder(state_dir):
                try_state_folder(state_dir)
                assert holder_of(state_dir) == Holder("daemon", os.getpid())
        else:
            try_state_folder(state_dir)
        assert keeps_files_private(state_dir)

        assert [path.name for path in Path(folder).iterdir()] == (["lock"] if there else [])


def test_what_is_tried_may_have_a_longer_path_than_the_socket(tmp_path: Path) -> None:
    """The longest that a daemon could use; and one that is too long is its own sentence."""
    room = 107 - len(str(tmp_path / "control.sock")) - 1
    if room < 1:
        pytest.skip("pytest's own folder has too long a path")
    longest = tmp_path / ("x" * room)
    longest.mkdir(mode=0o700)

    try_state_folder(longest)

    with pytest.raises(StartupError, match="is too long a path for a socket; use a shorter"):
        try_state_folder(tmp_path / ("x" * (room + 1)))
    assert stat.S_ISDIR(longest.stat().st_mode)
    assert list(longest.iterdir()) == []
