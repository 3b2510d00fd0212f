"""What the box was before it became a service: whose settings it had, and what of it comes along.

``sudo`` makes the caller root, whose home is not where ``make up`` has kept the box so far.
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

#: By which phones know the box, and what was measured of the board. The id comes last: with it, the
#: folder is a box's. Answers of the last minutes and the cache stay behind.
_COMES_ALONG = (
    *(_DEVICES, "host_name", "instance_name", "tls.key", "tls.crt", "tls.json"),
    *("tuning.json", "suspend-test.json", _ID),
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A box whose state lies in another folder than the service's.

    Attributes:
        folder: That folder.
        names: The files that come along, in the order in which they are to be written.
    """

    folder: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Read one of them with no more rights than the folder's owner has: it may be a link.

        Raises:
            OSError: If it cannot be read.
        """
        path = self.folder / name
        if os.geteuid() != 0:
            return read_private(path)
        owner = self.folder.stat()
        if owner.st_uid == 0 and path.lstat().st_uid != 0:
            # Root's rights would not hold a link back, and others may write there, as into /tmp.
            raise PermissionError(errno.EPERM, "it is not root's, as its folder is", str(path))
        with acting_as(owner.st_uid, owner.st_gid):
            return read_private(path)

    def told(self) -> str:
        """Say what comes along, for people."""
        try:
            count = len(decode(self.read(_DEVICES)).devices) if _DEVICES in self.names else 0
        except (OSError, ValueError):
            return "the list of paired devices, the box's id and its TLS key"
        devices = "1 paired device" if count == 1 else f"{count} paired devices"
        return f"{devices}, the box's id and its TLS key"


def callers_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the home of whoever called sudo, pkexec or doas, if one of them ran us.

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
            pass  # a user that has gone meanwhile
    return {"HOME": home, **environ}


def earlier_box(used: Path, service: Path) -> Earlier | None:
    """Look for a box that the service is to go on as; None if there is none, or it is one already.

    Args:
        used: The folder of state in use so far.
        service: The service's own; what is in there is never replaced.
    """
    if used == service or not _is_new(service):
        return None
    try:
        names = tuple(name for name in _COMES_ALONG if (used / name).exists())
    except OSError:
        return None
    return Earlier(used, names) if _ID in names else None


def require_stopped(earlier: Earlier) -> None:
    """Make sure that the box is not running from its earlier folder.

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
        return False  # it may not be looked into, so there is one
    return True
