"""The engine's end of the socket pair. Kind: hands."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Protocol

from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.messages import NOT_A_MESSAGE, Event, Order, decode_order, encode

_READ_BYTES = 65536


class Watched(Protocol):
    """An object whose file number becomes readable when there is something to handle."""

    def fileno(self) -> int:
        """The file number."""


class ParentGone(Exception):
    """The daemon closed its end of the pipe, or died."""


class Pipe:
    """Orders from the daemon, events to it, and other files that are watched meanwhile."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over the connected socket."""
        self._sock = sock
        self._reader = FrameReader(ORDER_BYTES_MAX)
        # Registered once, because it is polled before every step.
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._others: dict[int, Callable[[], None]] = {}
        self._untaken: list[Order] = []

    def watch(self, other: Watched, on_readable: Callable[[], None]) -> None:
        """While taking orders, call ``on_news`` whenever ``other`` is readable; it must read it."""
        self._poll.register(other, select.POLLIN)
        self._others[other.fileno()] = on_readable

    def unwatch(self, other: Watched) -> None:
        """Stop watching ``other``, which must still be open."""
        self._poll.unregister(other)
        del self._others[other.fileno()]

    def send(self, *events: Event) -> None:
        """Send events in one write; blocks while the daemon does not read.

        Raises:
            ParentGone: If the daemon has closed its end.
        """
        data = b"".join(frame(encode(event), EVENT_BYTES_MAX) for event in events)
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise ParentGone from exc

    def orders(self, wait_s: float | None) -> list[Order]:
        """Return the received orders; wait first for one, or for a watched file.

        Args:
            wait_s: Longest wait, seconds; None is without end.

        Raises:
            ParentGone: If the daemon closed its end, or sent something that is not an order.
        """
        orders: list[Order] = []
        wait_ms = None if wait_s is None else wait_s * 1000
        while readable := self._poll.poll(wait_ms):
            for number, _event in readable:
                if number in self._others:
                    self._others[number]()
                else:
                    try:
                        orders += self._read()
                    except ParentGone:
                        self._untaken = orders
                        raise
            wait_ms = 0.0
        return orders

    def last_orders(self) -> list[Order]:
        """Return the orders received before the daemon exited that `orders` has not returned."""
        orders, self._untaken = self._untaken, []
        with contextlib.suppress(ParentGone, BlockingIOError):
            while True:
                orders += self._read(socket.MSG_DONTWAIT)
        return orders

    def _read(self, flags: int = 0) -> list[Order]:
        try:
            data = self._sock.recv(_READ_BYTES, flags)
            orders = [decode_order(payload) for payload in self._reader.feed(data)]
        except (ConnectionResetError, BadFrame, *NOT_A_MESSAGE) as exc:
            raise ParentGone from exc
        if not data:
            raise ParentGone
        return orders
