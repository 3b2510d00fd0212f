"""The doctor's checks of the disk, the ports and the network."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterable, Set
from pathlib import Path

from inglenook.auth.identity_files import server_id
from inglenook.cli.doctor.result import CheckResult, Verdict, fix, ok, warning
from inglenook.cli.service.files import PORTS
from inglenook.cli.service.systemctl import show
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.config import Config
from inglenook.daemon.folderfaults import nearest_folder
from inglenook.daemon.statefolder import keeps_files_private, try_state_folder
from inglenook.discovery.box import BoxHello
from inglenook.discovery.browse import find_boxes, try_search
from inglenook.discovery.found_box import TWIN_CURE, FoundBox
from inglenook.discovery.hello import who_answers
from inglenook.discovery.interfaces import list_own_addresses
from inglenook.gateway.listen import bind
from inglenook.gateway.settings import EVERYWHERE, ListenSettings
from inglenook.serving.journal.journal import Journal

#: A daemon that runs takes a connection at once; the kernel does it.
_CONNECT_S = 1.0

#: Two seconds find every box that is awake and near.
_FIND_S = 2.0

#: Too little for a model and the cache; too little for the journal and the device list.
_DISK_LOW_BYTES, _DISK_FULL_BYTES = 1 << 30, 64 << 20


def disk(config: Config) -> list[CheckResult]:
    """Check whether the state folder is usable for a daemon, and has room."""
    lines = [_folder(config.state_dir)]
    if lines[0].verdict is Verdict.FIX:
        return lines
    if not keeps_files_private(config.state_dir):
        text = "its file system keeps no permissions: others on this machine can read tokens there"
        lines.append(warning("privacy", text))
    if config.serving.journal and (fault := _journal_fault(config.state_dir)):
        text = f"cannot be stored there ({fault}); unfinished ones are lost when the box stops"
        lines.append(warning("answers", text))
    return lines


def _folder(state_dir: Path) -> CheckResult:
    try:
        free_bytes = shutil.disk_usage(nearest_folder(state_dir)).free
        try_state_folder(state_dir)
    except OSError as exc:
        return fix("state_dir", f"{state_dir}: cannot be looked at: {exc.strerror}")
    except StartupError as exc:
        return fix("state_dir", str(exc).removeprefix("state_dir: "))
    text = f"{state_dir} has {format_bytes(free_bytes)} free"
    if free_bytes < _DISK_FULL_BYTES:
        return fix("state_dir", f"{text}, too little to keep answers; make room")
    if free_bytes < _DISK_LOW_BYTES:
        return warning("state_dir", f"{text}, little for models and the cache")
    return ok("state_dir", text)


def _journal_fault(state_dir: Path) -> str:
    """Why no journal can be written there, tried with one; empty if it can."""
    try:
        folder = nearest_folder(state_dir)
        with tempfile.TemporaryDirectory(prefix=".try-", dir=folder) as trial:
            journal = Journal(Path(trial) / "journal.db")
            try:
                journal.load()
            finally:
                journal.close()
    except (OSError, sqlite3.Error) as exc:
        return str(exc)
    return ""


def ports(config: Config, *, running: bool) -> list[CheckResult]:
    """Check whether the ports are the daemon's, or free for it."""
    listen = config.listen
    numbers = [port for port in (listen.port, *listen.extra, listen.tls_port) if port]
    if not numbers:
        return [warning("ports", "all are off in 'listen', so no device can connect")]
    if running:
        return [_open_port(listen.host, port) for port in numbers]
    try:
        plain, tls = bind(listen)
    except StartupError as exc:
        if set(numbers) <= _held_ports():
            text = "systemd holds them for the service, and starts it at the first connection"
            return [ok("ports", f"{', '.join(map(str, numbers))}: {text}")]
        return [fix("ports", str(exc))]
    for sock in (*plain, *tls):
        sock.close()
    return [ok("ports", f"{', '.join(map(str, numbers))}: free for the daemon")]


def _held_ports() -> set[int]:
    """The ports on which systemd listens for the service; none without systemd or the service."""
    try:
        unit = show(PORTS, "ActiveState", "Listen")
    except StartupError:
        return set()
    if unit["ActiveState"] != ["active"]:
        return set()
    # "[::]:8377 (Stream)"
    shown = [value.partition(" (")[0].rpartition(":")[2] for value in unit["Listen"]]
    return {int(port) for port in shown if port.isdecimal()}


def _open_port(host: str, port: int) -> CheckResult:
    address = ("localhost" if host in EVERYWHERE else host, port)
    try:
        socket.create_connection(address, _CONNECT_S).close()
    except OSError:
        text = "the daemon does not listen there; restart it to have it take its settings"
        return warning(f"port {port}", text)
    return ok(f"port {port}", "the daemon's")


def mdns(config: Config, *, running: bool) -> list[CheckResult]:
    """Check whether phones can find the box, and no other box with its id."""
    if not config.discovery.enabled:
        text = "off, as discovery.enabled says; phones have to be given the address"
        return [ok("mDNS", text)]
    try:
        if not running:
            asyncio.run(try_search())
            return [ok("mDNS", "can be used; the daemon announces the box when it runs")]
        own_id = server_id(config.state_dir)
        own, boxes = asyncio.run(_search(config.listen))
        addresses = {each.entry.address for each in list_own_addresses()}
    except (OSError, StartupError) as exc:
        return [warning("mDNS", str(exc))]
    return announcement([each for each in boxes if each.box.server_id == own_id], own, addresses)


def announcement(
    matching: Iterable[FoundBox], own: BoxHello | None, addresses: Set[str]
) -> list[CheckResult]:
    """Judge the boxes announced with this box's id, which may be other machines.

    Args:
        matching: Those boxes.
        own: The daemon's own answer on this machine; None if it does not answer.
        addresses: All of this machine's.
    """
    found: CheckResult | None = None
    detail = ""
    lines = []
    run_id = None if own is None else own.run_id
    for each in matching:
        name, is_here = each.box.name, not addresses.isdisjoint(each.box.addresses)
        if each.hello is None:
            why = "see `listen.host`" if is_here else "a router may repeat old announcements"
            detail = f"; {name} is announced at {each.url}, where it does not answer: {why}"
        elif is_here if run_id is None else each.hello.run_id == run_id:
            status = each.box.status or "without a state"
            found = ok("mDNS", f"found as {name} ({each.box.host_name}), {status}")
        else:
            text = f"{name} at {each.url} is another machine with this box's id; {TWIN_CURE}"
            lines.append(fix("id", text))
    text = f"the box was not found; a firewall may drop UDP port 5353{detail}"
    return [found or warning("mDNS", text), *lines]


async def _search(listen: ListenSettings) -> tuple[BoxHello | None, list[FoundBox]]:
    """The daemon's own answer, and the boxes on the network."""
    host = "127.0.0.1" if listen.host in EVERYWHERE else listen.host
    bare = f"[{host}]" if ":" in host else host
    url = f"http://{bare}:{listen.port}" if listen.port else f"https://{bare}:{listen.tls_port}"
    return await who_answers(url, _FIND_S), await find_boxes(_FIND_S)
