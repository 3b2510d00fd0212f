"""The file of paired devices: read, watched for changes, and replaced under a lock. Kind: hands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from inglenook.auth import devicefile
from inglenook.auth.devices import Roster
from inglenook.common.errors import StartupError
from inglenook.common.private_files import locked
from inglenook.common.state_file import StateFile

logger = logging.getLogger(__name__)

#: A change takes milliseconds; a process that holds the lock longer is stopped or stuck.
LOCK_WAIT_S = 5.0

_Stamp: TypeAlias = tuple[int, int, int]


class DeviceStore:
    """Roster in one file, and a copy in memory as last read or written; empty until `load`."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, devicefile.VERSION)
        self.path = path
        self._roster = Roster()
        self._loaded = False
        self._read_stamp: _Stamp | None = None
        self._warned = False

    @property
    def roster(self) -> Roster:
        """The list as last read or written."""
        return self._roster

    @property
    def damaged(self) -> bool:
        """Whether the file was damaged when it was last read, so that devices may be missing."""
        return bool(self._file.damage)

    def load(self) -> None:
        """Read the file; a missing one is an empty list.

        If it is damaged, the list last read stays in force; at the first read, its whole entries.

        Raises:
            StartupError: If it cannot be opened, or a newer version wrote it.
        """
        # Before reading: a change in between is then read again, rather than missed.
        stamp = _stamp(self.path)
        try:
            content = self._file.read()
        except OSError as exc:
            raise StartupError(
                f"The device list {self.path} cannot be read: {exc.strerror}; "
                "run this as the user the file belongs to, or as root."
            ) from exc
        if content:
            try:
                self._roster = devicefile.read(content)
            except ValueError as exc:
                self._file.damaged(str(exc))
        if not content and not self.damaged:
            self._roster = Roster()
        elif self.damaged and not self._loaded:
            self._roster = devicefile.salvage(content)
        self._loaded, self._read_stamp = True, stamp

    def refresh(self) -> None:
        """Read the file again if it has changed; an error is logged once."""
        if _stamp(self.path) == self._read_stamp:
            return
        try:
            with self.changing():  # or an older list could overwrite one just put in place
                self._warned = False
        except StartupError as exc:
            self.warn(exc)

    def warn(self, exc: StartupError) -> None:
        """Log an error of a background change, as a warning only the first time."""
        logger.log(logging.DEBUG if self._warned else logging.WARNING, "%s", exc)
        self._warned = True

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, with the file freshly read.

        Raises:
            StartupError: As `load`; or if the lock cannot be taken.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.path, LOCK_WAIT_S))
            except TimeoutError as exc:
                raise StartupError(
                    f"The device list {self.path} cannot be changed: {exc.strerror}; try again."
                ) from exc
            except OSError as exc:
                raise self._unwritable(exc) from exc
            self.load()
            yield

    def save(self, roster: Roster) -> None:
        """Write a new list, within `changing`; a damaged file is kept beside it.

        Raises:
            StartupError: If it cannot be written.
        """
        data = devicefile.encode(roster)
        # Read back, so that memory holds what the file does, and no file is ever written that
        # could not be read.
        roster = devicefile.decode(data)
        try:
            self._file.write(data)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        self._roster = roster

    def _unwritable(self, exc: OSError) -> StartupError:
        return StartupError(
            f"The device list {self.path} cannot be changed: {exc.strerror}; make sure its folder "
            "exists, has space, and belongs to the user this runs as."
        )


def _stamp(path: Path) -> _Stamp | None:
    """Return what differs between versions of the file; None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
