"""Versioned JSON files that migrate, and that are read when damaged. Kind: hands.

Reading changes nothing on the disk: a person may be repairing the file. The next write keeps a
damaged one beside it, as ``NAME.damaged``, before it puts another in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private
from inglenook.common.wholefile import folder_owner, write_whole

log = logging.getLogger(__name__)

#: Damaged files of one name that are kept; the last place is used again.
_ASIDE_MAX = 9

Content = dict[str, Any]
Migration = Callable[[Content], Content]


class NewerFile(StartupError):
    """A newer version of this program wrote the file; writing it would lose what that added."""


class StateFile:
    """One JSON object with a ``version``, replaced whole by each write."""

    def __init__(
        self,
        path: Path,
        version: int,
        migrations: Mapping[int, Migration] | None = None,
        *,
        unversioned: int | None = None,
        mode: int = 0o600,
    ) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: Its folder must exist when it is written.
            version: What this program writes.
            migrations: By older version, what makes its content that of the next.
            unversioned: The version of a file that gives none; None takes it as damaged.
            mode: Its permissions.
        """
        self.path = path
        self._version = version
        self._migrations = migrations or {}
        self._unversioned = unversioned
        self._mode = mode
        self._data: bytes | None = None
        self._damage = ""
        self._logged = False

    @property
    def damage(self) -> str:
        """What is wrong with the file as it was last read; empty if nothing is."""
        return self._damage

    def read(self) -> Content:
        """Return the content in this version's form; empty if there is none or it is damaged.

        Raises:
            OSError: If the file cannot be opened.
            NewerFile: If a newer version wrote it.
        """
        self._logged = self._logged and bool(self._damage)
        self._data, self._damage = None, ""
        try:
            self._data = read_private(self.path)
        except FileNotFoundError:
            return {}
        try:
            content = msgspec.json.decode(self._data)
        except (ValueError, RecursionError) as exc:
            return self.damaged(str(exc))
        if not isinstance(content, dict):
            return self.damaged("it is no JSON object")
        version = content.get("version", self._unversioned)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            return self.damaged("its version is no number")
        if version > self._version:
            raise NewerFile(
                f"{self.path} was written by a newer version of Inglenook; use that one, or move "
                "the file away"
            )
        return self._migrated(content, version)

    def damaged(self, why: str) -> Content:
        """Note what the reader could make no sense of; logged once until it is whole again."""
        self._damage = why
        log.log(
            logging.DEBUG if self._logged else logging.WARNING,
            "%s is damaged (%s); what can be read of it is used. Repair it, or the next change "
            "replaces it and keeps it as %s",
            self.path,
            why,
            self._aside().name,
        )
        self._logged = True
        return {}

    def write(self, data: bytes) -> None:
        """Put ``data`` in the file's place; if what was last read was damaged, keep that beside it.

        When root writes into another user's folder, the file becomes that user's.

        Raises:
            OSError: If it cannot be written; the old file is then untouched.
        """
        owner = folder_owner(self.path.parent)
        if self._damage and self._data is not None:
            write_whole(self._aside(), self._data, mode=self._mode, owner=owner)
        write_whole(self.path, data, mode=self._mode, owner=owner)
        self._data, self._damage = data, ""

    def _migrated(self, content: Content, version: int) -> Content:
        try:
            for older in range(version, self._version):
                content = {**self._migrations[older](content), "version": older + 1}
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            return self.damaged(f"it is of version {version}, but {exc!r}")
        return content

    def _aside(self) -> Path:
        """Where a damaged file goes: the first free name."""
        names = [f"{self.path.name}.damaged"]
        names += [f"{names[0]}-{number}" for number in range(2, _ASIDE_MAX + 1)]
        paths = [self.path.with_name(name) for name in names]
        return next((path for path in paths if not path.exists()), paths[-1])
