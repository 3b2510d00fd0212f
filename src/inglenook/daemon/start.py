"""Reads from the disk and binds what a start needs, before anything runs. Kind: hands."""

from __future__ import annotations

import logging
import os
import pwd
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_interface
from pathlib import Path

from inglenook import __version__
from inglenook.auth.allowlist import Allowlist
from inglenook.auth.certificates import Certificate, ensure_certificate
from inglenook.auth.identity import KeptHostName, server_id
from inglenook.config import Config
from inglenook.discovery.advert import host_name
from inglenook.discovery.interfaces import list_addresses, own_macs, wired_macs
from inglenook.errors import StartupError
from inglenook.gateway.control import bind_control_socket
from inglenook.gateway.house import Addresses, Identity
from inglenook.gateway.listen import bind, raise_open_files_limit
from inglenook.gateway.page_files import PageFile, read_pages
from inglenook.power.listener import bind_wake_socket
from inglenook.power.settings import ASLEEP_NAME
from inglenook.systemd import Inherited

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What was read and bound.

    Attributes:
        ear: Where magic packets come in; None where they cannot.
        macs: Of wired cards, which can wake a board.
        own_macs: Of all cards, by which a box that is awake may be called.
        asleep: The last process ended because nobody needed it.
        last_host_name: What the box was called last, without ``.local``.
    """

    identity: Identity
    certificate: Certificate | None
    pages: dict[str, PageFile]
    plain: list[socket.socket]
    tls: list[socket.socket]
    control: socket.socket
    ear: socket.socket | None
    macs: tuple[str, ...]
    own_macs: tuple[str, ...]
    asleep: bool
    last_host_name: str | None


def find(
    config: Config, allowlist: Allowlist, kept_name: KeptHostName, inherited: Inherited
) -> Found:
    """Read and bind everything a start needs, the allowlist too; blocks.

    Args:
        config: All the settings.
        allowlist: Is loaded.
        kept_name: The host name held before.
        inherited: Sockets that need not be bound.

    Raises:
        StartupError: If something is missing or taken.
    """
    raise_open_files_limit()
    claim_state_folder(config.state_dir)
    asleep = _was_asleep(config.state_dir / ASLEEP_NAME)
    allowlist.load()
    box_id = server_id(config.state_dir)
    name = config.name
    control = bind_control_socket(config.state_dir)
    try:
        plain, tls = bind(config.listen, inherited.tcp)
    except StartupError:
        control.close()
        raise
    certificate = current_certificate(config, box_id) if tls else None
    identity = Identity(
        box_id,
        name,
        __version__,
        config.listen.host,
        config.listen.port,
        config.listen.tls_port,
        certificate.spki_sha256 if certificate else None,
    )
    last = kept_name.read(host_name(name, box_id))
    ear = inherited.udp or _bind_ear(config.wake.udp_port)
    return Found(
        identity=identity,
        certificate=certificate,
        pages=read_pages(),
        plain=plain,
        tls=tls,
        control=control,
        ear=ear,
        macs=wired_macs(),
        own_macs=own_macs(),
        asleep=asleep,
        last_host_name=last,
    )


def current_certificate(config: Config, box_id: str) -> Certificate:
    """Give the TLS port's certificate, for the names and addresses the box has now; blocks.

    Raises:
        StartupError: If there is none and none can be made.
    """
    own = [f"{host_name(config.name, box_id)}.local", socket.gethostname(), "localhost"]
    names = [*own, *(other for other in config.listen.names if other.isascii())]
    addresses = [interface.ip for interface in read_addresses()]
    now = datetime.now(UTC).timestamp()
    return ensure_certificate(config.state_dir, names, addresses, now)


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
        raise StartupError(f"state_dir: {path} cannot be made: {exc.strerror}") from exc


def _was_asleep(marker: Path) -> bool:
    try:
        marker.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise StartupError(f"{marker} cannot be removed: {exc.strerror}") from exc
    return True


def _bind_ear(port: int) -> socket.socket | None:
    if not port:
        return None
    try:
        return bind_wake_socket(port)
    except StartupError as exc:
        log.info("%s", exc)
        return None


def read_addresses() -> Addresses:
    """Read the box's interface addresses; blocks."""
    return [ip_interface(f"{a.address}/{a.prefix_length}") for a in list_addresses()]
