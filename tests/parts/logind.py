"""A system bus of the test's own, with python-dbusmock's logind on it. Needs Debian's packages.

Both are processes of their own, so what the tests see closed is closed in another process.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.parts.netns import START_S, stop, wait_for

#: Debian's Python, which has Debian's dbusmock.
PYTHON = "/usr/bin/python3"

LOGIND, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
MANAGER, MOCK = "org.freedesktop.login1.Manager", "org.freedesktop.DBus.Mock"

_BUS = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""

# What dbusmock's template lacks: callers' processes, polkit's refusal, word of new locks, and how
# long delay locks count.
_TEMPLATE = """
import os

import dbus
from dbusmock.templates import logind
from dbusmock.templates.logind import *
from gi.repository import GLib

state = {"refused": [], "locks": []}


def load(mock, parameters):
    logind.load(mock, parameters)
    delay = dbus.UInt64(parameters.get("InhibitDelayMaxUSec", 5_000_000))
    mock.AddProperty(MAIN_IFACE, "InhibitDelayMaxUSec", delay)
    mock.AddProperty(MAIN_IFACE, "BlockInhibited", "")
    state["refused"] = [tuple(pair) for pair in parameters.get("Refused", [])]


def tell(mock):
    blocked = ":".join(lock[0] for lock in state["locks"] if lock[3] == "block")
    mock.UpdateProperties(MAIN_IFACE, {"BlockInhibited": blocked})


@dbus.service.method(MAIN_IFACE, in_signature="ssss", out_signature="h", sender_keyword="sender")
def Inhibit(self, what, who, why, mode, sender=None):
    if (what, mode) in state["refused"]:
        name = "org.freedesktop.DBus.Error.AccessDenied"
        raise dbus.exceptions.DBusException("Permission denied", name=name)
    bus = self.connection.get_object("org.freedesktop.DBus", "/org/freedesktop/DBus")
    pid = bus.GetConnectionUnixProcessID(sender, dbus_interface="org.freedesktop.DBus")
    ours, theirs = os.pipe()
    lock = (what, who, why, mode, dbus.UInt32(0), dbus.UInt32(pid))
    state["locks"].append(lock)

    def dropped(fd, _condition):
        os.close(fd)
        state["locks"].remove(lock)
        tell(self)
        return False

    GLib.unix_fd_add_full(GLib.PRIORITY_HIGH, ours, GLib.IO_HUP, dropped)
    GLib.idle_add(os.close, theirs)
    tell(self)
    return theirs


@dbus.service.method(MAIN_IFACE, in_signature="", out_signature="a(ssssuu)")
def ListInhibitors(self):
    return dbus.Array(state["locks"], signature="(ssssuu)")
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock as logind lists it, without its reason and user."""

    what: str
    who: str
    mode: str
    pid: int


class SystemBus:
    """A D-Bus daemon that can be ended and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:path={folder}/bus"
        self._socket = folder / "bus"
        self._config = folder / "bus.conf"
        self._config.write_text(_BUS.lstrip().format(socket=self._socket))
        self._log = folder / "bus.log"

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it until left."""
        command = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile"]
        with _running(command, self._log, {}) as process:
            wait_for("the bus", self._listens, timeout_s=START_S)
            yield process

    @contextlib.contextmanager
    def logind(self, **parameters: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Run a logind on it until left; ``parameters`` as dbusmock's template and ours take."""
        template = self._config.with_name("logind.py")
        template.write_text(_TEMPLATE)
        given = ["--template", str(template), "--parameters", json.dumps(parameters)]
        command = [PYTHON, "-m", "dbusmock", "--system", *given]
        log = self._config.with_name("logind.log")
        with _running(command, log, self.environ()) as process:
            wait_for("logind", self._answers, timeout_s=START_S)
            yield process

    def environ(self) -> dict[str, str]:
        """What a program needs to find this bus."""
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            return caller.connect_ex(os.fspath(self._socket)) == 0

    def _answers(self) -> bool:
        ping = ["--print-reply", f"--dest={LOGIND}", PATH, f"{MANAGER}.ListInhibitors"]
        command = ["dbus-send", f"--bus={self.address}", *ping]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Seat:
    """Somebody else on the bus, who sees what logind sees and has it say things."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    async def call(
        self, member: str, signature: str = "", *body: Any, interface: str = MANAGER
    ) -> list[Any]:
        """Call a method of logind's, or of the mock."""
        reply = await self._bus.call(
            Message(
                destination=LOGIND,
                path=PATH,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        assert reply is not None
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        body_: list[Any] = reply.body
        return body_

    async def locks(self) -> list[Lock]:
        """List the locks whose file nobody has closed, in the order they were taken."""
        rows = (await self.call("ListInhibitors"))[0]
        return [Lock(what, who, mode, pid) for what, who, _why, mode, _uid, pid in rows]

    async def kinds(self) -> list[tuple[str, str]]:
        """List what is locked, and how, sorted."""
        return sorted((lock.what, lock.mode) for lock in await self.locks())

    async def prepare_for_sleep(self, *, starting: bool) -> None:
        """Have logind say that the board goes to sleep, or is back."""
        body = [Variant("b", starting)]
        await self.call(
            "EmitSignal", "sssav", MANAGER, "PrepareForSleep", "b", body, interface=MOCK
        )

    async def forge_sleep(self, to: str) -> None:
        """Say so to one program without being logind."""
        signal = Message.new_signal(PATH, MANAGER, "PrepareForSleep", "b", [True])
        signal.destination = to
        await self._bus.send(signal)

    async def called(self, member: str) -> list[list[Any]]:
        """List the arguments of each call of a method that dbusmock answers by itself."""
        calls = (await self.call("GetMethodCalls", "s", member, interface=MOCK))[0]
        return [[value.value for value in arguments] for _at, arguments in calls]

    async def names(self) -> list[str]:
        """List everybody on the bus."""
        reply = await self._bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="ListNames",
            )
        )
        assert reply is not None
        names: list[str] = reply.body[0]
        return [name for name in names if name.startswith(":") and name != self._bus.unique_name]


@contextlib.asynccontextmanager
async def seat(address: str) -> AsyncIterator[Seat]:
    """Come to the bus."""
    bus = await MessageBus(bus_address=address).connect()
    try:
        yield Seat(bus)
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ or None,
        )
    try:
        yield process
    finally:
        stop(process)
