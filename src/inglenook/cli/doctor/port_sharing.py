"""The doctor's checks for programs on this machine that need the same ports.

The box reports by itself if it lacks a port; its effects on other programs are reported here only.
"""

from __future__ import annotations

import errno
from pathlib import Path

from inglenook.cli.doctor.result import CheckResult, ok, warning
from inglenook.cli.service.files import WAKE
from inglenook.cli.service.systemctl import show
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.gateway.settings import ListenSettings
from inglenook.power.listener import bind_wake_socket

_AVAHI_CONF = Path("etc/avahi/avahi-daemon.conf")

#: Printed by the doctor, and by `inglenook service install`.
AVAHI_ALONE = (
    "Avahi is set to share UDP port 5353 with no other program (disallow-other-stacks=yes in"
    f" /{_AVAHI_CONF}), so whichever starts second goes without: the box is not announced, or this"
    " machine has no names in .local, printers or shared folders any more; write"
    " disallow-other-stacks=no there and `sudo systemctl restart avahi-daemon`"
)

#: Ports below are for what belongs to the system (RFC 6335 section 6).
_SYSTEM_PORTS = 1024


def shared_ports(config: Config, *, running: bool) -> list[CheckResult]:
    """Report the effects of the box's ports on other programs."""
    lines = _system_ports(config.listen)
    if not running:
        lines += _wake_port(config.wake.udp_port)
    if config.discovery.enabled and avahi_is_alone(config.governor.root):
        lines.append(warning("Avahi", AVAHI_ALONE))
    return lines


def avahi_is_alone(root: Path) -> bool:
    """Whether Avahi's settings forbid other mDNS programs on the port.

    Parses as Avahi 0.8 does, which differs from its manual: of equal lines the first counts, a
    value is true by its first character, and a space before it makes it false.

    Args:
        root: The folder of ``etc``.
    """
    try:
        text = (root / _AVAHI_CONF).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # there is no Avahi
    group = ""
    for line in (line.strip(" \t\r") for line in text.split("\n")):
        if line.startswith("["):
            group = line[1:].partition("]")[0]
        key, equals, value = line.partition("=")
        if (group.lower(), key.lower(), equals) == ("server", "disallow-other-stacks", "="):
            return value[:1] in tuple("yYtT1")
    return False


def _system_ports(listen: ListenSettings) -> list[CheckResult]:
    numbers = (listen.port, *listen.extra, listen.tls_port)
    text = (
        "is a port of the system's: another program that wants it and starts later goes without,"
        " such as a NAS's own pages (80, 443) or its name server (53); another port will do for"
        " the box"
    )
    return [warning(f"port {port}", text) for port in numbers if 0 < port < _SYSTEM_PORTS]


def _wake_port(port: int) -> list[CheckResult]:
    """Report whether magic packets would be received, and which program cannot receive them."""
    if not port:
        return []
    what = f"UDP port {port}"
    try:
        bind_wake_socket(port).close()
    except StartupError as exc:
        if _is_held():
            text = "systemd holds it for the service, which receives magic packets there"
            return [ok(what, f"{text}; 'wake.udp_port: 0' leaves it to another program")]
        cause = exc.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EACCES:
            return [ok(what, str(exc), tells=False)]
        return [warning(what, str(exc))]
    return [ok(what, "free for the daemon, which receives magic packets there")]


def _is_held() -> bool:
    try:
        return show(WAKE, "ActiveState")["ActiveState"] == ["active"]
    except StartupError:
        return False
