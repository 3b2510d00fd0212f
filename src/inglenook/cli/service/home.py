"""The service's user and its files: the state folder, the model, the box's id."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from inglenook.auth.identity_files import server_id
from inglenook.cli.service.earlier import Earlier
from inglenook.cli.service.files import STATE_DIR
from inglenook.cli.service.installed_files import acting_as
from inglenook.cli.service.systemctl import run
from inglenook.common.errors import StartupError
from inglenook.common.wholefile import write_whole
from inglenook.config import Config
from inglenook.models.inspect import resolve_model
from inglenook.models.starter import STARTER

USER = "inglenook"


def user_exists() -> bool:
    """Whether the service's user exists."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


class Home:
    """The service's user and its folder; both are made if they are missing."""

    def __init__(self, sysusers: Path) -> None:
        """Make the user and the folder.

        Args:
            sysusers: The file that describes the user; see sysusers.d(5).

        Raises:
            StartupError: If they cannot be made.
        """
        run(["systemd-sysusers", str(sysusers)])
        self._user = pwd.getpwnam(USER)
        try:
            STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
            if STATE_DIR.stat().st_uid != self._user.pw_uid:
                self._take_over(STATE_DIR)
        except OSError as exc:
            raise StartupError(f"{exc.filename}: cannot be made the service's: {exc}") from exc

    def server_id(self) -> str:
        """Return the id by which phones know the box; makes it the first time.

        Raises:
            StartupError: If it cannot be read, or written.
        """
        with acting_as(self._user.pw_uid, self._user.pw_gid):
            return server_id(STATE_DIR)

    def bring(self, earlier: Earlier) -> Iterator[str]:
        """Copy the files of the box in another folder, which is not changed; yield log lines.

        Raises:
            StartupError: If a file cannot be read or written.
        """
        for name in earlier.names:
            try:
                data = earlier.read(name)
                with acting_as(self._user.pw_uid, self._user.pw_gid):
                    write_whole(STATE_DIR / name, data, mode=0o600)
            except OSError as exc:
                where = f"from {earlier.folder} to {STATE_DIR}"
                raise StartupError(f"{name} cannot be copied {where}: {exc.strerror}") from exc
        yield (
            f"took over {earlier.summary()} from {earlier.folder}; that folder stays as it is, "
            "but do not run a box from it beside the service"
        )

    def bring_starter(self, config: Config) -> Iterator[str]:
        """Copy or fetch the starter model into the folder; yield log lines.

        Args:
            config: The settings in use so far, whose state folder may have it.

        Raises:
            StartupError: If it can be neither copied nor fetched.
        """
        target = STATE_DIR / "models" / STARTER.file_name
        if self.can_read(target):
            return
        source = resolve_model(None, config.state_dir / "models")
        with tempfile.TemporaryDirectory(prefix="inglenook-") as work:
            if not source.is_file():
                from inglenook.cli.model import fetch_starter

                source = fetch_starter(Path(work))
            with _open_as_owner(source) as file:
                self._copy(file, target)
        yield f"put the starter model into {target.parent}"

    def can_read(self, path: Path) -> bool:
        """Whether the user may read a file, or list a folder."""
        with acting_as(self._user.pw_uid, self._user.pw_gid):
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return False
        return True

    def _copy(self, source: BinaryIO, target: Path) -> None:
        part = target.with_name(f".{target.name}.part")
        try:
            with acting_as(self._user.pw_uid, self._user.pw_gid):
                target.parent.mkdir(mode=0o700, exist_ok=True)
                with part.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                    sink.flush()
                    os.fsync(sink.fileno())
                part.replace(target)
        except OSError as exc:
            raise StartupError(f"{target}: cannot be written: {exc.strerror}") from exc

    def _take_over(self, folder: Path) -> None:
        """Make the user the owner of the folder and its content, as systemd would at the start."""
        for path, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(
                    Path(path, name), self._user.pw_uid, self._user.pw_gid, follow_symlinks=False
                )


def _open_as_owner(path: Path) -> BinaryIO:
    """Open a file with the rights of the user who controls its folder."""
    owner = path.parent.stat()
    with acting_as(owner.st_uid, owner.st_gid):
        return path.open("rb")
