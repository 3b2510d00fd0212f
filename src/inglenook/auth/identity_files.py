"""Files of the box's identity: its permanent id, and its last names on the network. Kind: hands."""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private, write_private

logger = logging.getLogger(__name__)

_SERVER_ID = re.compile(rb"([0-9a-f]{8})\s*")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


def server_id(state_dir: Path) -> str:
    """Return the id by which phones recognise this box, 8 hex digits; made at the first call.

    Raises:
        StartupError: If it cannot be read or written.
    """
    path = state_dir / "server_id"
    try:
        match = _SERVER_ID.fullmatch(read_private(path))
    except FileNotFoundError:
        return _make(path)
    except OSError as exc:
        raise StartupError(
            f"The box's id in {path} cannot be read: {exc.strerror}; make sure it belongs to the "
            "user this runs as."
        ) from exc
    if match is None:
        raise StartupError(
            f"{path} does not hold 8 hex digits; restore a copy, or delete it and pair every phone "
            "again."
        )
    return match[1].decode()


def _make(path: Path) -> str:
    made = secrets.token_hex(4)
    try:
        write_private(path, f"{made}\n".encode())
    except OSError as exc:
        raise StartupError(
            f"The box's id cannot be kept in {path}: {exc.strerror}; make sure its folder exists, "
            "has space, and belongs to the user this runs as."
        ) from exc
    return made


class RememberedNames:
    """The box's last names on the network, so that people's links stay valid.

    They differ from those that derive from the box's own name where another device had them. They
    hold until the owner sets another ``name`` in the settings.
    """

    def __init__(self, state_dir: Path) -> None:
        self._host = _RememberedText(state_dir / "host_name")
        self._instance = _RememberedText(state_dir / "instance_name")

    def host(self, derived: str) -> str | None:
        """Return the stored host name if it is ``derived`` or a variant of it; else None."""
        name = self._host.read()
        return name if name == derived or name.startswith(f"{derived}-") else None

    def instance(self, owners: str) -> str | None:
        """Return the stored service name for a box whose owner calls it ``owners``, or None."""
        number, _, kept_for = self._instance.read().partition("\n")
        if kept_for != owners or not _NUMBER.fullmatch(number):
            return None
        return owners if number == "1" else f"{owners}-{number}"

    def remember(self, owners: str, instance: str, host: str) -> None:
        """Store new names. If the disk fails, the next start may have another name.

        Each call tries again; the error is logged once.

        Args:
            owners: The owner's name for the box, in its form for the network.
            instance: The service name: that, maybe with a number behind it.
            host: The host name without ``.local``.
        """
        number = instance.removeprefix(owners).removeprefix("-") or "1"
        # The number stands alone for the systemd unit, which must not trust what it reads.
        self._instance.remember(f"{number}\n{owners}")
        self._host.remember(host)


class _RememberedText:
    """A line or two in a file of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text: str | None = None
        self._unwritten: str | None = None

    def read(self) -> str:
        """Return the text; empty if there is no readable one."""
        try:
            self._text = self._path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return self._text

    def remember(self, text: str) -> None:
        """Write the text, if it has changed."""
        if text == self._text:
            return
        try:
            write_private(self._path, text.encode())
        except OSError as exc:
            if text != self._unwritten:
                logger.warning("%s cannot be written: %s", self._path, exc.strerror)
            self._unwritten = text
        else:
            self._text, self._unwritten = text, None
