"""The folder a box keeps its state in: made, held by one daemon, and tried out. Kind: hands."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.common.lockfile import LockFile, held_by
from inglenook.common.wholefile import write_whole
from inglenook.daemon.folderfaults import folder_fault, nearest_folder
from inglenook.gateway.control import bind_control_socket, control_path

LOCK_NAME = "lock"

#: What the daemon writes into the lock file, before its process id.
DAEMON = "daemon"

#: A command that looks whether a daemon runs has the lock for less than a millisecond.
_LOOK_S = 0.5

#: A command that holds the lock removes files, at most; a start waits for its end.
_COMMAND_S = 60.0

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that uses a state folder.

    Attributes:
        what: ``daemon``, or the command.
        pid: Its process id, as it saw itself; 0 if it has not said.
    """

    what: str
    pid: int

    @property
    def is_daemon(self) -> bool:
        """Whether it is one: what else may hold the lock, says so."""
        return self.what in (DAEMON, "")

    def __str__(self) -> str:
        return f"process {self.pid}" if self.pid else "its process id is not known"


def holder_of(state_dir: Path) -> Holder | None:
    """The process that uses the state folder; None if none does.

    Raises:
        StartupError: If it cannot be told.
    """
    try:
        note = held_by(state_dir / LOCK_NAME)
    except OSError as exc:
        raise folder_fault(state_dir, "tell whether a daemon runs", exc) from exc
    if note is None:
        return None
    what, _, pid = note.rpartition(" ")
    return Holder(what, int(pid) if pid.isdecimal() else 0)


@contextlib.contextmanager
def held_state_folder(state_dir: Path, what: str = DAEMON) -> Iterator[None]:
    """Hold the folder's lock until the end of the block, which must exist; blocks for a moment.

    Args:
        state_dir: The folder.
        what: Names the holder to other processes.

    Raises:
        StartupError: If another process holds it, or the folder cannot be used.
    """
    lock = LockFile(state_dir / LOCK_NAME)
    try:
        _acquire(lock, state_dir, f"{what} {os.getpid()}")
        yield
    finally:
        lock.release()


def _acquire(lock: LockFile, state_dir: Path, note: str) -> None:
    began_s = time.monotonic()
    while not _try_acquire(lock, state_dir, note):
        holder = holder_of(state_dir)
        waited_s = time.monotonic() - began_s
        patience_s = _LOOK_S if holder is None or holder.is_daemon else _COMMAND_S
        if waited_s >= patience_s:
            raise _in_use(state_dir, holder)
        time.sleep(_POLL_S)


def _try_acquire(lock: LockFile, state_dir: Path, note: str) -> bool:
    try:
        return lock.try_acquire(note)
    except OSError as exc:
        raise folder_fault(state_dir, "lock a file", exc) from exc


def _in_use(state_dir: Path, holder: Holder | None) -> StartupError:
    if holder is not None and not holder.is_daemon:
        text = (
            f"`{holder.what}` ({holder}) uses the state in {state_dir}; try again when it is done"
        )
        return StartupError(text)
    who = "" if holder is None else f" ({holder})"
    return StartupError(
        f"it is already running, with the state in {state_dir}{who}; "
        "`inglenook pair` lets a phone in, Ctrl-C in its terminal stops it"
    )


def claim_state_folder(path: Path) -> None:
    """Make the state folder if it is missing, and see that what is left there can be read again.

    Raises:
        StartupError: If it cannot be made, or this is root and it belongs to somebody else.
    """
    make_private_folder(path)
    owner = path.stat().st_uid
    if os.geteuid() == 0 != owner:
        raise StartupError(
            f"state_dir: {path} belongs to {_user_name(owner)}, who could not read what root leaves"
            " there; run it as that user, or start the service that does"
        )


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def make_private_folder(path: Path) -> None:
    """Make the state folder, for this user only, if it is missing.

    Raises:
        StartupError: If it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise folder_fault(path, "make it", exc) from exc


def bind_control(state_dir: Path) -> socket.socket:
    """Make the control socket, for this user only; the caller holds the folder's lock.

    Raises:
        StartupError: If it cannot be made.
    """
    path = control_path(state_dir)
    try:
        return bind_control_socket(path)
    except OSError as exc:
        raise folder_fault(state_dir, "make a socket", exc) from exc


def try_state_folder(state_dir: Path) -> None:
    """Do once what a daemon does with its folder, in a folder within it that is then removed.

    A daemon that runs there is not disturbed. Nothing is left where there is no folder yet.

    Raises:
        StartupError: In the words in which a daemon's start would fail.
    """
    control_path(state_dir)
    try:
        trial = Path(tempfile.mkdtemp(prefix=".try-", dir=nearest_folder(state_dir)))
    except OSError as exc:
        raise folder_fault(state_dir, "make a folder", exc) from exc
    try:
        for doing, step in _STEPS:
            try:
                step(trial)
            except OSError as exc:
                raise folder_fault(state_dir, doing, exc) from exc
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def keeps_files_private(state_dir: Path) -> bool:
    """Whether files there can be made unreadable for others; some file systems have no owners."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".try-", dir=nearest_folder(state_dir)) as file:
            os.fchmod(file.fileno(), 0o600)
            return os.fstat(file.fileno()).st_mode & 0o077 == 0
    except OSError:
        return False


def _try_lock(trial: Path) -> None:
    lock = LockFile(trial / LOCK_NAME)
    try:
        lock.try_acquire("try")
    finally:
        lock.release()


def _try_socket(trial: Path) -> None:
    # By way of the open folder: the trial's own path may be too long for a socket.
    descriptor = os.open(trial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bind_control_socket(Path(f"/proc/self/fd/{descriptor}/socket")).close()
    finally:
        os.close(descriptor)


def _try_write(trial: Path) -> None:
    write_whole(trial / "file", b"tried by `inglenook doctor`\n", mode=0o600)


#: In the order of a start.
_STEPS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("lock a file", _try_lock),
    ("make a socket", _try_socket),
    ("write a file", _try_write),
)
