"""State files of this user's terminal, retained between commands. Kind: hands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from inglenook.common.errors import StartupError
from inglenook.common.private_files import locked
from inglenook.common.state_file import Content, StateFile

#: Version 1 was the entries alone, without a version.
_VERSION = 2

#: A change takes milliseconds; a process that holds the lock longer is stopped or stuck.
_LOCK_WAIT_S = 5.0

T = TypeVar("T")


class UserStateFile:
    """Entries by name in one JSON file in ``$XDG_DATA_HOME/inglenook``, for this user only.

    Other terminals may change it at the same time; each change is made to the current content. Of
    a damaged file the undamaged entries count.
    """

    def __init__(self, environ: Mapping[str, str], name: str) -> None:
        home = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "~")) / ".local/share"
        self._path = Path(home).expanduser() / "inglenook" / name
        self._file = StateFile(self._path, _VERSION, {1: _versioned}, unversioned=1)

    def read(self, kind: type[T]) -> dict[str, T]:
        """Return the entries of this kind; empty if there is no file.

        Raises:
            StartupError: If the file cannot be opened, or a newer version wrote it.
        """
        try:
            entries = self._file.read().get("entries", {})
        except OSError as exc:
            raise StartupError(f"{self._path} cannot be read: {exc.strerror}") from exc
        if not isinstance(entries, dict):
            entries = self._file.damaged("its entries are no JSON object")
        found: dict[str, T] = {}
        for name, entry in entries.items():
            try:
                found[name] = msgspec.convert(entry, kind)
            except msgspec.ValidationError as exc:
                self._file.damaged(f"entry {name!r}: {exc}")
        return found

    def change(self, kind: type[T], change: Callable[[dict[str, T]], Mapping[str, T]]) -> None:
        """Write what ``change`` makes of the entries there are now.

        Raises:
            StartupError: If it cannot be read or written, or another holds it for seconds.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._path, _LOCK_WAIT_S):
                content = {"version": _VERSION, "entries": change(self.read(kind))}
                self._file.write(msgspec.json.format(msgspec.json.encode(content)))
        except OSError as exc:
            raise StartupError(f"{self._path} cannot be written: {exc.strerror}") from exc


def _versioned(content: Content) -> Content:
    # The tokens of the first version were texts; those of the second have the box's key beside.
    return {
        "entries": {
            name: {"token": entry} if isinstance(entry, str) else entry
            for name, entry in content.items()
        }
    }
