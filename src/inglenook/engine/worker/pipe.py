"""The engine's end of the socket pair. Kind: hands."""

from __future__ import annotations

import select
import socket
from typing import Protocol

from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.orders import NOT_A_MESSAGE, Event, Order, decode_order, encode

_READ_BYTES = 65536


class Awaitable(Protocol):
    """Something whose file number becomes readable when it has news."""

    def fileno(self) -> int:
        """The file number."""


class ParentGone(Exception):
    """The daemon closed its end or died; there is nobody left to work for."""


class Pipe:
    """The engine's end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the connected socket over."""
        self._sock = sock
        self._reader = FrameReader(ORDER_BYTES_MAX)

    def send(self, *events: Event) -> None:
        """Send events, in one write; waits while the daemon does not read.

        Raises:
            ParentGone: If nobody is there.
        """
        data = b"".join(frame(encode(event), EVENT_BYTES_MAX) for event in events)
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise ParentGone from exc

    def orders(self, wait_s: float | None, *others: Awaitable) -> list[Order]:
        """Take what has come in; wait for something first.

        Args:
            wait_s: How long to wait at most, seconds; None is without end.
            others: What may end the waiting as well, by becoming readable.

        Raises:
            ParentGone: If the daemon closed its end, or sent what is no order of ours.
        """
        orders: list[Order] = []
        while True:
            patience_s = 0.0 if orders else wait_s
            if self._sock not in select.select([self._sock, *others], [], [], patience_s)[0]:
                return orders
            try:
                data = self._sock.recv(_READ_BYTES)
                payloads = self._reader.feed(data)
                orders += [decode_order(payload) for payload in payloads]
            except (ConnectionResetError, BadFrame, *NOT_A_MESSAGE) as exc:
                raise ParentGone from exc
            if not data:
                raise ParentGone
