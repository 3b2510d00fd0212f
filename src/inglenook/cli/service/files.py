"""The files of ``inglenook service install``, made from the settings and this installation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from xml.sax.saxutils import escape

from inglenook import __version__
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.config.edit import with_setting
from inglenook.discovery.advert import Advert, instance_name, txt_record
from inglenook.gateway.http.app import PROTOCOLS
from inglenook.gateway.settings import EVERYWHERE
from inglenook.models.footprint import Footprint

STATE_DIR = Path("/var/lib/inglenook")
CONFIG_DIR = Path("/etc/inglenook")
CONFIG_FILE = CONFIG_DIR / "config.yaml"
UNIT_DIR = Path("/etc/systemd/system")

#: Avahi's file that announces a sleeping box; the service writes and removes it.
LIVE_ANNOUNCEMENT = Path("/etc/avahi/services/inglenook.service")

SERVICE, PORTS, WAKE = "inglenook.service", "inglenook.socket", "inglenook-wake.socket"
SYSUSERS = "sysusers.conf"

#: Folders hidden by the units: ``ProtectHome=`` the first three, ``PrivateTmp=`` the others.
_COVERED = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108  # no files of ours

#: The daemon, phones' buffers, and files being read: 60 MiB idle, and room for all of limits.md.
_DAEMON_BYTES = 512 * 2**20

#: `models.preflight` leaves a twentieth of a limit free, and at least this.
_RESERVE_BYTES, _RESERVE_SHARE = 128 * 2**20, 20


@dataclass(frozen=True, slots=True)
class File:
    """One file to be installed.

    Attributes:
        path: Its absolute path.
        text: Its content.
    """

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Program:
    """This installation.

    Attributes:
        python: The interpreter that runs it.
        folders: All of its folders.
        templates: The folder of unit files.
    """

    python: Path
    folders: tuple[Path, ...]
    templates: Path


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """The units' memory limits: ``MemoryLow=``, ``MemoryHigh=`` and ``MemoryMax=``."""

    low_bytes: int
    high_bytes: int
    max_bytes: int


def memory_limits(need: Footprint, cache_bytes: int, total_bytes: int | None) -> MemoryLimits:
    """Compute the limits from the model's need.

    Args:
        need: The model, as it will be loaded.
        cache_bytes: Limit of the prefix cache in RAM.
        total_bytes: All memory, if a setting is ``auto`` and so takes a share of the free memory:
            a tighter limit would shrink that share. None if all are set.
    """
    high_bytes = need.total_bytes + cache_bytes + _DAEMON_BYTES
    high_bytes += max(_RESERVE_BYTES, high_bytes // (_RESERVE_SHARE - 1))
    if total_bytes is not None:
        most_bytes = total_bytes - max(_RESERVE_BYTES, total_bytes // _RESERVE_SHARE)
        # Weights are mapped files: pages that the kernel reclaims at `high` are read again for each
        # token, so `high` is never less than the need, however small the board.
        high_bytes = max(high_bytes, most_bytes)
    return MemoryLimits(need.total_bytes, high_bytes, high_bytes + high_bytes // 8)


def unit_files(
    config: Config, program: Program, model: Path, limits: MemoryLimits | None
) -> Iterator[File]:
    """Yield the units and this installation's drop-ins.

    Args:
        config: The service's settings.
        program: This installation.
        model: The model's file.
        limits: None if they are not known.

    Raises:
        StartupError: If systemd cannot listen on the address of the settings.
    """
    yield _template(program, SERVICE, UNIT_DIR / SERVICE)
    yield _template(program, PORTS, UNIT_DIR / PORTS)
    yield drop_in(PORTS, "10-ports.conf", "Socket", _streams(config))
    if config.wake.udp_port:
        yield _template(program, WAKE, UNIT_DIR / WAKE)
        datagram = ["ListenDatagram=", f"ListenDatagram={config.wake.udp_port}"]
        yield drop_in(WAKE, "10-ports.conf", "Socket", datagram)
    command = f"{quoted(program.python)} -m inglenook run --config {CONFIG_FILE}"
    yield drop_in(SERVICE, "10-paths.conf", "Service", ["ExecStart=", f"ExecStart={command}"])
    models = (model, model.resolve())
    if covered := covered_paths((*program.folders, *models)):
        lines = [
            "# Home folders are empty to the service, except these. A model that is not there is",
            "# for the box to tell; without the dash, the service would not start.",
            "ProtectHome=tmpfs",
            *(f"BindReadOnlyPaths={'-' * (path in models)}{quoted(path)}" for path in covered),
        ]
        yield drop_in(SERVICE, "10-home.conf", "Service", lines)
    if limits is not None:
        yield drop_in(SERVICE, "10-memory.conf", "Service", _memory_lines(limits))


def sysusers_file(program: Program) -> File:
    """Return the file from which the service's user is made, also on copies of this system."""
    return _template(program, SYSUSERS, Path("/etc/sysusers.d/inglenook.conf"))


def polkit_file(program: Program) -> File:
    """Return the rule that allows the service's user to suspend the board."""
    name = "50-inglenook.rules"
    return _template(program, name, Path("/etc/polkit-1/rules.d") / name)


def announcement(config: Config, program: Program, server_id: str, mac: str | None) -> File:
    """Return Avahi's announcement of the box while it sleeps without a process.

    Args:
        config: The service's settings.
        program: The installation with the template.
        server_id: The id by which phones know the box.
        mac: Its wired MAC address, if it is to be announced.
    """
    port = config.listen.port or config.listen.tls_port
    tls = bool(config.listen.tls_port)
    advert = Advert(
        config.name, server_id, __version__, port, api=PROTOCOLS, tls=tls, mac=mac, status="sleep"
    )
    records = [f"{key}={value}" for key, value in txt_record(advert).items()]
    text = (program.templates / "avahi.service").read_text()
    # The number of a name that is taken is inserted as the process ends.
    text = text.replace("@NAME@", f"{escape(instance_name(config.name))}@NUMBER@")
    text = text.replace("@PORT@", str(port))
    txt = "\n    ".join(f"<txt-record>{escape(record)}</txt-record>" for record in records)
    return File(CONFIG_DIR / "avahi.service", text.replace("@TXT@", txt))


def config_file(config: Config, written: str) -> File:
    """Return the service's own settings: those in force now, with its own state folder.

    Args:
        config: The settings in force now.
        written: Their text; empty if there is no file.

    Raises:
        ValueError: If the text cannot be changed by `with_setting`.
    """
    changes: dict[str, str] = {"name": config.name, "state_dir": str(STATE_DIR)}
    # Relative to the folder of the file they come from.
    if config.model.path is not None:
        changes["model.path"] = str(config.model.path)
    if config.governor.root != Path("/"):
        changes["governor.root"] = str(config.governor.root)
    text = written
    for key, value in changes.items():
        text = with_setting(text, key, value)
    head = (
        "# Settings of the service. All there are, with their defaults, stand in\n"
        "# config.example.yaml of the source; `inglenook config` shows what is in force.\n"
    )
    return File(CONFIG_FILE, head + text)


def covered_paths(paths: Sequence[Path]) -> list[Path]:
    """Return the paths that the units hide, without those inside another of them."""
    covered = {path for path in paths if any(path.is_relative_to(top) for top in _COVERED)}
    return sorted(path for path in covered if not covered.intersection(path.parents))


def quoted(path: Path) -> str:
    """Quote a path for unit files: systemd.syntax(7), systemd.unit(5)."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if any(char in text for char in " '\"\\;:") else text


def drop_in(unit: str, name: str, section: str, lines: Sequence[str]) -> File:
    """Return a drop-in of a unit."""
    text = "\n".join((f"[{section}]", *lines)) + "\n"
    return File(UNIT_DIR / f"{unit}.d" / name, text)


def _streams(config: Config) -> list[str]:
    listen = config.listen
    where = ""
    if listen.host not in EVERYWHERE:
        try:
            address = ip_address(listen.host)
        except ValueError as exc:
            text = f"listen.host: systemd listens on addresses only; write one for {listen.host!r}"
            raise StartupError(text) from exc
        where = f"[{address}]:" if address.version == 6 else f"{address}:"
    ports = [port for port in (listen.port, *listen.extra, listen.tls_port) if port]
    return ["ListenStream=", *(f"ListenStream={where}{port}" for port in ports)]


def _memory_lines(limits: MemoryLimits) -> list[str]:
    return [
        "# Worked out from the model and the settings. After a change of either:",
        "# `inglenook service install`.",
        f"MemoryLow={limits.low_bytes >> 20}M",
        f"MemoryHigh={limits.high_bytes >> 20}M",
        f"MemoryMax={limits.max_bytes >> 20}M",
    ]


def _template(program: Program, name: str, path: Path) -> File:
    return File(path, (program.templates / name).read_text())
