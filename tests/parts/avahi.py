"""Avahi in a namespace: the responder and browser that phones and Linux desktops have."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.parts.netns import START_S, Machine, wait_for

SERVICE = "_inglenook._tcp"

_BUS = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""

_DAEMON = """
[server]
host-name={host_name}
use-ipv4=yes
use-ipv6=yes
allow-interfaces={interfaces}

[reflector]
enable-reflector={reflects}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One service as ``avahi-browse`` resolved it."""

    transport: str
    name: str
    host_name: str
    address: str
    port: int
    txt: dict[str, str]


@contextlib.contextmanager
def avahi(
    machine: Machine, folder: Path, *, interfaces: str = "lan0", reflects: bool = False
) -> Iterator[None]:
    """Run a D-Bus system bus and Avahi in a namespace, seen by nobody outside it.

    Args:
        machine: Where.
        folder: For its settings and logs; is made.
        interfaces: On which it is, with commas between.
        reflects: It repeats on each of them what it hears on the others, as some routers do.
    """
    folder.mkdir(exist_ok=True)
    bus, daemon = folder / "bus.conf", folder / "avahi.conf"
    bus.write_text(_BUS.lstrip())
    told = "yes" if reflects else "no"
    daemon.write_text(_DAEMON.format(host_name=machine.name, interfaces=interfaces, reflects=told))
    machine.run("mkdir", "-p", "/run/dbus", "/run/avahi-daemon")
    log = folder / "avahi.log"
    with (
        machine.running(
            *["dbus-daemon", f"--config-file={bus}", "--nofork", "--nopidfile"],
            log=folder / "dbus.log",
        ),
        contextlib.ExitStack() as stack,
    ):
        wait_for("the bus", lambda: machine.run("ls", "/run/dbus"), timeout_s=START_S)
        stack.enter_context(
            machine.running(
                *["avahi-daemon", f"--file={daemon}", "--no-drop-root", "--no-chroot"], log=log
            )
        )
        wait_for("Avahi", lambda: "startup complete" in log.read_text(), timeout_s=START_S)
        yield


def browse(machine: Machine) -> list[Seen]:
    """List what ``avahi-browse -rpt`` resolves, one entry for each of IPv4 and IPv6."""
    seen: list[Seen] = []
    for line in machine.run("avahi-browse", "-rpt", SERVICE).splitlines():
        mark, _interface, transport, name, _type, _domain, *resolved = line.split(";", 9)
        if mark == "=":
            host_name, address, port, txt = resolved
            pairs = dict(pair.split("=", 1) for pair in shlex.split(txt))
            seen.append(Seen(transport, _unescape(name), host_name, address, int(port), pairs))
    return seen


def resolve(machine: Machine, host_name: str, *, family: int) -> str:
    """Ask Avahi for the IPv4 (4) or IPv6 (6) address of a host; empty if nobody answers."""
    answer = machine.run("avahi-resolve", f"-{family}", "-n", host_name).split()
    return answer[1] if answer else ""


def _unescape(name: str) -> str:
    """Undo ``\\032``, three decimal digits for a byte, and a backslash before any other sign."""

    def plain(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1])]) if match[1].isdigit() else match[1]

    return re.sub(rb"\\(\d{3}|.)", plain, name.encode()).decode()
