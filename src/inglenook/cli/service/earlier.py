"""The box before it became a service: its settings, and the files that the service takes over.

``sudo`` makes the caller root, whose home is not the one in which ``make up`` has put the box.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inglenook.auth.devicefile import decode
from inglenook.cli.service.installed_files import acting_as
from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private
from inglenook.daemon.statefolder import holder_of

_DEVICES, _ID = "devices.json", "server_id"

#: The files by which phones know the box, and the board's measurements. The id is last: with it,
#: the folder is a box's. The journal and the cache are not copied.
_COMES_ALONG = (
    *(_DEVICES, "host_name", "instance_name", "tls.key", "tls.crt", "tls.json"),
    *("tuning.json", "suspend-test.json", _ID),
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A box whose state is in another folder than the service's.

    Attributes:
        folder: That folder.
        names: The files to take over, in the order in which they are to be written.
    """

    folder: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Read one of the files with the rights of the folder's owner: it may be a link.

        Raises:
            OSError: If it cannot be read.
        """
        path = self.folder / name
        if os.geteuid() != 0:
            return read_private(path)
        owner = self.folder.stat()
        if owner.st_uid == 0 and path.lstat().st_uid != 0:
            # As root, a link could lead anywhere, and others may write there, as into /tmp.
            raise PermissionError(errno.EPERM, "it is not root's, as its folder is", str(path))
        with acting_as(owner.st_uid, owner.st_gid):
            return read_private(path)

    def summary(self) -> str:
        """The files to take over, in words."""
        try:
            count = len(decode(self.read(_DEVICES)).devices) if _DEVICES in self.names else 0
        except (OSError, ValueError):
            return "the list of paired devices, the box's id and its TLS key"
        devices = "1 paired device" if count == 1 else f"{count} paired devices"
        return f"{devices}, the box's id and its TLS key"


def callers_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the home of the user who called sudo, pkexec or doas.

    Tools that set machines up may leave HOME out altogether.
    """
    home = str(Path.home())
    if os.geteuid() == 0:
        try:
            if number := environ.get("SUDO_UID") or environ.get("PKEXEC_UID"):
                return {**environ, "HOME": pwd.getpwuid(int(number)).pw_dir}
            if name := environ.get("DOAS_USER"):
                return {**environ, "HOME": pwd.getpwnam(name).pw_dir}
        except (KeyError, ValueError):
            pass  # the user has been removed meanwhile
    return {"HOME": home, **environ}


def earlier_box(used: Path, service: Path) -> Earlier | None:
    """Find the box that the service is to continue; None if there is none, or it is one already.

    Args:
        used: The state folder in use so far.
        service: The service's own; its files are never replaced.
    """
    if used == service or not _is_new(service):
        return None
    try:
        names = tuple(name for name in _COMES_ALONG if (used / name).exists())
    except OSError:
        return None
    return Earlier(used, names) if _ID in names else None


def require_stopped(earlier: Earlier) -> None:
    """Check that the box is not running from its earlier folder.

    Raises:
        StartupError: If it is.
    """
    holder = holder_of(earlier.folder)
    if holder is None or not holder.is_daemon:
        return
    raise StartupError(
        f"the box still runs with the state in {earlier.folder}; stop it, with Ctrl-C in its "
        "terminal, and install again: its paired devices come along"
    )


def _is_new(service: Path) -> bool:
    try:
        for name in (_ID, _DEVICES):
            try:
                (service / name).lstat()
            except FileNotFoundError:
                continue
            return False
    except OSError:
        return False  # it may not be opened, so there is one
    return True
