"""systemd's service protocols: notifications, watchdog, sockets. Kind: hands.

The formats are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). Their variables
are removed from the environment: the engine must not notify in our name.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

#: The first file number that systemd hands over (``SD_LISTEN_FDS_START``).
_FIRST_FD = 3


class Notifier:
    """Notifies systemd of the service's state; without systemd a no-op. Never waits or raises.

    Attributes:
        watchdog_s: systemd ends a service without a `watchdog` for this long, seconds; call it
            twice as often. None without a watchdog.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Remove the service's variables from ``environ``."""
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        watchdog_us = environ.pop("WATCHDOG_USEC", "")
        watchdog_pid = environ.pop("WATCHDOG_PID", "")
        ours = watchdog_pid in ("", str(os.getpid()))
        self.watchdog_s: float | None = None
        if self._address and ours and watchdog_us.isdecimal() and int(watchdog_us):
            self.watchdog_s = int(watchdog_us) / 1e6

    def ready(self) -> None:
        """Notify that the service is ready, after a start or a reload."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Notify that all is well."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Notify that the service is about to end."""
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """Notify that settings are read again; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def extend_timeout_s(self, more_s: float) -> None:
        """Ask for this many more seconds, for a start or stop that takes long."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(more_s * 1e6)}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        try:
            # One socket per message, as in sd_notify(3): there are few, and none is left to close.
            with socket.socket(socket.AF_UNIX, kind) as sock:
                sock.sendto(text.encode(errors="replace"), self._address)
        except OSError as exc:
            log.debug("systemd was not told %s: %s", text, exc)


@dataclass(frozen=True, slots=True)
class Inherited:
    """Sockets that systemd holds, and that outlive this process.

    Attributes:
        tcp: Listening sockets, by port.
        udp: The datagram socket, or None.
        names: systemd's names for them, in its order.
    """

    tcp: Mapping[int, tuple[socket.socket, ...]] = field(default_factory=dict)
    udp: socket.socket | None = None
    names: tuple[str, ...] = ()


def inherited_sockets(environ: MutableMapping[str, str]) -> Inherited:
    """Take over the sockets systemd has handed to this process; there are none without systemd.

    Call it once: it goes by file numbers, which this process may reuse later. Unusable sockets are
    logged.

    Args:
        environ: systemd's variables are removed from it.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    # A shell between systemd and us would have kept the variables and not the files.
    if pid != str(os.getpid()) or not count.isdecimal():
        return Inherited()
    tcp: dict[int, tuple[socket.socket, ...]] = {}
    udp = None
    names = names[: int(count)] if names != [""] else []
    names += ["unknown"] * (int(count) - len(names))
    for descriptor, name in enumerate(names, _FIRST_FD):
        sock = _take_over(descriptor)
        if sock is not None and sock.type == socket.SOCK_STREAM:
            port = sock.getsockname()[1]
            tcp[port] = (*tcp.get(port, ()), sock)
        elif sock is not None and udp is None:
            udp = sock
        else:
            if sock is not None:
                sock.close()
            log.warning("systemd handed over %s (file %d), which is of no use", name, descriptor)
    return Inherited(tcp, udp, tuple(names))


def _take_over(descriptor: int) -> socket.socket | None:
    """Make an inherited file a socket of ours; None if it is not of a kind we use."""
    try:
        os.set_inheritable(descriptor, False)  # the engine must not hold it open
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return None
    internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    if internet and sock.type == socket.SOCK_DGRAM:
        return sock
    if internet and sock.type == socket.SOCK_STREAM and _listens(sock):
        return sock
    sock.detach()
    return None


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _address(text: str) -> str:
    """Return the notification socket's address in Python's form; empty if it is not a Unix one."""
    if text.startswith("@"):
        return f"\0{text[1:]}"  # an abstract one
    return text if text.startswith("/") else ""
