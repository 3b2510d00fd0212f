"""Reads from the disk and binds what a start needs, before anything runs. Kind: hands."""

from __future__ import annotations

import itertools
import logging
import secrets
import socket
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path

from inglenook import __version__
from inglenook.auth.allowlist import Allowlist
from inglenook.auth.certificates import Certificate, ensure_certificate
from inglenook.auth.identity_files import RememberedNames, server_id
from inglenook.auth.network import AddressScope, OwnAddress
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.daemon.folderfaults import folder_fault
from inglenook.daemon.statefolder import bind_control, claim_state_folder, held_state_folder
from inglenook.discovery.advert import host_name, instance_name
from inglenook.discovery.interfaces import list_own_addresses, own_macs, wired_macs
from inglenook.discovery.names import PreviousNames
from inglenook.gateway.context import Addresses, BoxIdentity
from inglenook.gateway.control import control_path
from inglenook.gateway.http.page_files import PageFile, read_pages
from inglenook.gateway.listen import bind, raise_open_files_limit
from inglenook.power.listener import bind_wake_socket
from inglenook.power.settings import ASLEEP_NAME
from inglenook.systemd import Inherited

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """What was read and bound.

    Attributes:
        wake_socket: Receives magic packets; None where that is not possible.
        macs: Of wired cards, which can wake a board.
        own_macs: Of all cards, by which a box that is awake may be called.
        asleep: The last process ended because it was not needed.
        last_names: What the box was called last.
    """

    identity: BoxIdentity
    certificate: Certificate | None
    pages: dict[str, PageFile]
    plain: list[socket.socket]
    tls: list[socket.socket]
    control: socket.socket
    wake_socket: socket.socket | None
    macs: tuple[str, ...]
    own_macs: tuple[str, ...]
    asleep: bool
    last_names: PreviousNames


@dataclass(frozen=True, slots=True)
class WakeSources:
    """How this box can be woken.

    Attributes:
        asleep: The process ended because it was not needed, and has been started since.
        held: systemd holds its ports, and starts the process at the next connection.
        wake_socket: Receives magic packets; None where that is not possible.
        macs: Hardware addresses that such a packet may have.
        model: The file to read ahead when a phone connects.
    """

    asleep: bool
    held: bool
    wake_socket: socket.socket | None
    macs: Collection[str]
    model: Path


def find(
    held: ExitStack,
    config: Config,
    allowlist: Allowlist,
    kept_names: RememberedNames,
    inherited: Inherited,
) -> Resources:
    """Read and bind everything a start needs, the allowlist too; blocks.

    Args:
        held: Gets everything that is to be closed, at once or at the end, however far this comes.
        config: All the settings.
        allowlist: Is loaded.
        kept_names: The names held before.
        inherited: Sockets that need not be bound.

    Raises:
        StartupError: If something is missing or taken, or another daemon uses the state folder.
    """
    for sock in (*itertools.chain(*inherited.tcp.values()), inherited.udp):
        if sock is not None:
            held.enter_context(sock)
    raise_open_files_limit()
    claim_state_folder(config.state_dir)
    # First of all that is done in there: whatever is found from here on is no living daemon's.
    held.enter_context(held_state_folder(config.state_dir))
    control = _control_socket(held, config.state_dir)
    allowlist.load()
    box_id = server_id(config.state_dir)
    plain, tls = bind(config.listen, inherited.tcp)
    for sock in (*plain, *tls):
        held.enter_context(sock)
    certificate = _current_certificate(config, box_id) if tls else None
    identity = BoxIdentity(
        box_id,
        config.name,
        __version__,
        config.listen.host,
        config.listen.port,
        config.listen.tls_port,
        certificate.spki_sha256 if certificate else None,
        secrets.token_hex(4),
    )
    last = PreviousNames(
        kept_names.instance(instance_name(config.name)),
        kept_names.host(host_name(config.name, box_id)),
    )
    wake_socket = inherited.udp or _bind_wake_socket(config.wake.udp_port)
    if wake_socket is not None:
        held.enter_context(wake_socket)
    return Resources(
        identity=identity,
        certificate=certificate,
        pages=read_pages(),
        plain=plain,
        tls=tls,
        control=control,
        wake_socket=wake_socket,
        macs=wired_macs(),
        own_macs=own_macs(),
        asleep=(config.state_dir / ASLEEP_NAME).exists(),
        last_names=last,
    )


def _control_socket(held: ExitStack, state_dir: Path) -> socket.socket:
    control = bind_control(state_dir)
    held.callback(_remove, control_path(state_dir))
    return held.enter_context(control)


def _remove(path: Path) -> None:
    with suppress(OSError):  # the disk may have become read-only; the next start replaces it
        path.unlink(missing_ok=True)


def _current_certificate(config: Config, box_id: str) -> Certificate:
    """Give the TLS port's certificate, for the names and addresses the box has now; blocks.

    Raises:
        StartupError: If there is none and none can be made.
    """
    subject = certificate_subject(config, box_id)
    now = datetime.now(UTC).timestamp()
    return ensure_certificate(config.state_dir, subject.names, subject.addresses, now)


@dataclass(frozen=True, slots=True)
class CertificateSubject:
    """Whom a certificate is for."""

    names: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]


def certificate_subject(config: Config, box_id: str) -> CertificateSubject:
    """Say by which names and addresses phones may call the box now; blocks.

    Raises:
        StartupError: If the kernel does not list its addresses.
    """
    derived = host_name(config.name, box_id)
    # Another device may have had it; links that phones keep lead to the one that was taken instead.
    held = RememberedNames(config.state_dir).host(derived) or derived
    own = {f"{derived}.local", f"{held}.local", socket.gethostname(), "localhost"}
    names = [*own, *(other for other in config.listen.names if other.isascii())]
    addresses = [own.interface.ip for own in read_addresses() if own.is_for_devices]
    return CertificateSubject(tuple(sorted(names)), tuple(sorted(addresses, key=str)))


def forget_sleep(state_dir: Path) -> None:
    """Remove the note that the box sleeps; the last thing that a start does, as it may fail before.

    Raises:
        StartupError: If it cannot be removed.
    """
    try:
        (state_dir / ASLEEP_NAME).unlink(missing_ok=True)
    except OSError as exc:
        raise folder_fault(state_dir, "remove a file", exc) from exc


def _bind_wake_socket(port: int) -> socket.socket | None:
    if not port:
        return None
    try:
        return bind_wake_socket(port)
    except StartupError as exc:
        log.info("%s", exc)
        return None


def read_addresses() -> Addresses:
    """Read all of the box's addresses, those that are never announced too; blocks.

    Raises:
        StartupError: If the kernel does not list them.
    """
    try:
        found = list_own_addresses()
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise StartupError(f"the addresses of this machine cannot be listed: {why}") from exc
    return [
        OwnAddress(
            ip_interface(f"{entry.address}/{entry.prefix_length}"), AddressScope(own.kind.value)
        )
        for own in found
        for entry in [own.entry]
    ]
