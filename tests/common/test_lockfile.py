"""A lock has one holder, and ends with it, however it ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inglenook.common.lockfile import LockFile, held_by, locked

WAIT_S = 30.0

#: Takes the lock, starts a child that lives on, says so, and waits to be killed.
HOLDER = """
import subprocess, sys
from pathlib import Path
from inglenook.common.lockfile import LockFile
lock = LockFile(Path(sys.argv[1]))
assert lock.try_acquire("holder")
child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_it_has_one_holder(path: Path) -> None:
    """Another of the same process counts as another, as a thread or a process does."""
    first, second = LockFile(path), LockFile(path)
    try:
        assert first.try_acquire()
        assert not second.try_acquire()
        first.release()
        assert second.try_acquire()
    finally:
        first.release()
        second.release()


def test_it_ends_with_a_killed_process_and_not_with_its_children(path: Path) -> None:
    """A daemon started again at once gets it, though an orphan of the one before lives on."""
    holder = subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    lock = LockFile(path)
    with holder:
        assert holder.stdout is not None
        orphan = int(holder.stdout.readline())
        try:
            assert not lock.try_acquire()
            holder.kill()
            holder.wait(WAIT_S)
            assert lock.try_acquire()
            os.kill(orphan, 0)  # raises if the child had ended, and so told nothing
        finally:
            lock.release()
            os.kill(orphan, signal.SIGKILL)


def test_who_holds_it_is_read_without_taking_it(path: Path) -> None:
    """A longer note of one before is gone; a free lock's note says nothing."""
    assert held_by(path) is None
    assert not path.exists()
    lock = LockFile(path)
    for note in ("inglenook cache purge 4711", "daemon 12"):
        assert lock.try_acquire(note)
        assert held_by(path) == note
        assert held_by(path) == note
        lock.release()
        assert held_by(path) is None


def test_looking_does_not_keep_anybody_from_it(path: Path) -> None:
    """Commands look while a daemon starts: it has to try again, and gets it."""
    path.touch()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            held_by(path)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with locked(path, WAIT_S):
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_its_file_is_its_owners_alone_and_stays(path: Path) -> None:
    """Removed, two could each hold the lock of a file by that name."""
    before = os.umask(0)
    try:
        with locked(path, 0):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("ask", [held_by, lambda path: LockFile(path).try_acquire()])
def test_a_link_in_its_place_is_not_followed(path: Path, ask: object) -> None:
    """Root is not led to open a file elsewhere."""
    assert callable(ask)
    path.symlink_to(path.with_name("elsewhere"))

    with pytest.raises(OSError, match="symbolic link"):
        ask(path)

    assert not path.with_name("elsewhere").exists()


def test_a_pipe_in_its_place_is_not_waited_for(path: Path) -> None:
    """It would have no writer, ever."""
    os.mkfifo(path)

    assert held_by(path) is None


def test_after_the_wait_it_is_said_for_how_long(path: Path) -> None:
    """The holder goes on."""
    with locked(path, 0):
        with pytest.raises(TimeoutError, match="another process has held its lock for 0 s"):
            locked(path, 0).__enter__()
        assert held_by(path) == ""
