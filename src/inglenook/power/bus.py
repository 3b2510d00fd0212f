"""Client of logind over the system bus: calls and signals. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from dbus_fast import BusType, DBusFastError, Message, MessageType
from dbus_fast.aio import MessageBus

from inglenook.common.errors import InglenookError
from inglenook.common.guarded import Guard
from inglenook.power.login1 import Inhibitor, LogindRefused, LogindSignal, NoLogind

#: Both answer within milliseconds; after this long they hang.
CONNECT_S = 5.0
CALL_S = 5.0
_CLOSE_S = 1.0

#: Default of InhibitDelayMaxSec in logind.conf(5), if logind does not return it.
_DELAY_S = 5.0

_LOGIND, _PATH, _MANAGER = (
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
)
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_PROPERTIES = "org.freedesktop.DBus.Properties"

_MATCHES = (
    f"type='signal',sender='{_LOGIND}',interface='{_MANAGER}',member='PrepareForSleep'",
    f"type='signal',sender='{_LOGIND}',path='{_PATH}',interface='{_PROPERTIES}'",
    f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{_LOGIND}'",
)

#: Errors that the bus returns when the service is missing.
_NOBODY = ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "TimedOut")

#: Exceptions of the library when the bus is missing, closes, or sends malformed messages.
_FAULTS = (OSError, EOFError, ValueError, LookupError, DBusFastError)


class LogindBus:
    """A connection to logind.

    Attributes:
        delay_s: Longest wait for a delay lock, seconds.
        preparing: Whether a suspension was in preparation when this was opened.
    """

    def __init__(self, bus: MessageBus, heard: Callable[[LogindSignal], None]) -> None:
        self.delay_s = _DELAY_S
        self.preparing = False
        self._bus = bus
        self._heard = heard
        self._owner: str | None = None
        self._telling = Guard("news of logind")
        self._arriving: dict[int, list[int]] = {}

    async def begin(self) -> None:
        """Subscribe to the signals, and find logind.

        Raises:
            NoLogind: If there is none.
        """
        self._bus.add_message_handler(self._receive)
        try:
            for match in _MATCHES:
                await self._call(_bus_call("AddMatch", "s", [match]))
            reply = await self._call(_logind_call("GetAll", "s", [_MANAGER], _PROPERTIES), "a{sv}")
        except LogindRefused as exc:
            raise NoLogind(str(exc)) from exc
        self._owner = reply.sender
        values = {name: variant.value for name, variant in reply.body[0].items()}
        self.delay_s = values.get("InhibitDelayMaxUSec", _DELAY_S * 1e6) / 1e6
        self.preparing = values.get("PreparingForSleep", False)

    @property
    def connected(self) -> bool:
        """Whether the bus has not closed the connection."""
        return self._bus.connected

    async def inhibit(self, what: str, who: str, why: str, mode: str) -> int:
        """Take a lock; closing the returned file releases it.

        Raises:
            LogindRefused: If this user may not.
            NoLogind: If there is no answer.
        """
        message = _logind_call("Inhibit", "ssss", [what, who, why, mode])
        message.serial = self._bus.next_serial()
        # However the call ends, no file of its reply stays open unnoticed: it would hold the lock
        # for as long as this process lives.
        arrived = self._arriving[message.serial] = []
        try:
            await self._call(message, "h")
            if not arrived:
                raise NoLogind("logind has sent no file for a lock")
            return arrived.pop()
        finally:
            del self._arriving[message.serial]
            _close(arrived)

    async def keepers(self) -> list[Inhibitor]:
        """Return the locks by which other processes keep the board awake.

        Our own do not count: logind may not have noticed yet that they were released.
        """
        reply = await self._call(_logind_call("ListInhibitors"), "a(ssssuu)")
        locks = [
            Inhibitor(frozenset(what.split(":")), who, why, mode, pid)
            for what, who, why, mode, _uid, pid in reply.body[0]
        ]
        return [lock for lock in locks if lock.keeps_awake and lock.pid != os.getpid()]

    async def can_suspend(self) -> str:
        """Return whether this user may suspend: ``yes``, ``no``, ``challenge`` or ``na``.

        ``challenge`` means with a password, and ``na`` that the board cannot.
        """
        reply = await self._call(_logind_call("CanSuspend"), "s")
        answer: str = reply.body[0]
        return answer

    async def suspend(self) -> None:
        """Suspend the board; returns while logind still waits for the holders of delay locks.

        Raises:
            LogindRefused: If a process holds a block lock, or this user may not.
            NoLogind: If there is no answer.
        """
        for lock in await self.keepers():
            raise LogindRefused(f"{lock.who} keeps the board awake: {lock.why}")
        await self._call(_logind_call("Suspend", "b", [False]))

    async def _call(self, message: Message, gives: str = "") -> Message:
        if not self._bus.connected:
            raise NoLogind("the system bus has closed the connection")
        try:
            async with asyncio.timeout(CALL_S):
                reply = await self._bus.call(message)
        except TimeoutError as exc:
            text = f"{message.destination} has not answered {message.member} for {CALL_S:g} s"
            raise NoLogind(text) from exc
        except _FAULTS as exc:
            raise NoLogind(f"the system bus has failed: {_reason(exc)}") from exc
        if reply is None:  # the connection was closed by us meanwhile
            raise NoLogind("the connection to the system bus is closed")
        if reply.message_type is MessageType.ERROR:
            raise _as_error(reply)
        if reply.signature != gives:
            raise NoLogind(f"{message.member} has given {reply.signature!r}, not {gives!r}")
        return reply

    def _receive(self, message: Message) -> None:
        """Handle a message before the library does."""
        if message.unix_fds:
            for file in message.unix_fds:
                os.set_inheritable(file, False)  # the engine is a child, and outlives an answer
            wanted = self._arriving.get(message.reply_serial)
            if wanted is None:
                _close(message.unix_fds)
            else:
                wanted.extend(message.unix_fds)
        if message.message_type is MessageType.SIGNAL:
            with self._telling:
                news = self._news(message)
                if news is not None:
                    self._heard(news)

    def _news(self, message: Message) -> LogindSignal | None:
        # Any program may send any signal straight to us, so the sender is checked.
        match message.sender, message.member, message.body:
            case str(sender), "NameOwnerChanged", [name, *_] if sender == _BUS and name == _LOGIND:
                # `begin` still waits for its reply; its call may be what starts logind.
                return LogindSignal.GONE if self._owner is not None else None
            case self._owner, "PrepareForSleep", [bool(starting)]:
                return LogindSignal.LEAVING if starting else LogindSignal.BACK
            case self._owner, "PropertiesChanged", [str(), dict(changed), list(others)]:
                return LogindSignal.LOCKS if "BlockInhibited" in (*changed, *others) else None
            case _:
                return None


@contextlib.asynccontextmanager
async def open_logind(
    heard: Callable[[LogindSignal], None] = lambda _news: None,
) -> AsyncIterator[LogindBus]:
    """Connect to the system bus, find logind, and close the connection on leaving.

    Args:
        heard: Called, synchronously, with each signal of logind.

    Raises:
        NoLogind: If there is no bus, or no logind.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            # Without negotiation a call that returns a file hangs.
            bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    except TimeoutError as exc:
        raise NoLogind(f"the system bus has not answered for {CONNECT_S:g} s") from exc
    except _FAULTS as exc:
        if isinstance(exc, FileNotFoundError):
            raise NoLogind("no system bus (D-Bus) runs here, as in most containers") from exc
        raise NoLogind(f"the system bus (D-Bus) cannot be reached: {_reason(exc)}") from exc
    try:
        logind = LogindBus(bus, heard)
        await logind.begin()
        yield logind
    finally:
        bus.disconnect()
        with contextlib.suppress(*_FAULTS):
            async with asyncio.timeout(_CLOSE_S):
                # Awaited only here: a cancelled wait cancels the library's future, too.
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


def _logind_call(
    member: str, signature: str = "", body: list[Any] | None = None, interface: str = _MANAGER
) -> Message:
    return Message(_LOGIND, _PATH, interface, member, signature=signature, body=body or [])


def _bus_call(member: str, signature: str, body: list[Any]) -> Message:
    return Message(_BUS, _BUS_PATH, _BUS, member, signature=signature, body=body)


def _as_error(reply: Message) -> InglenookError:
    name = reply.error_name or ""
    text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else name
    absent = name.rpartition(".")[2] in _NOBODY or ".Spawn." in name
    return NoLogind(f"logind cannot be asked: {text}") if absent else LogindRefused(text)


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())
