"""Listener for magic packets to this box. Kind: hands."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
from collections.abc import Callable, Collection, Iterator

from inglenook.common.errors import StartupError
from inglenook.common.guarded import Guard
from inglenook.power.magic import PACKET_BYTES_MAX, is_called

log = logging.getLogger(__name__)

#: Number of packets read in a row, before a pause of `_REST_S` seconds: 3,200 a second at most,
#: which take 2 % of an x86 core. The kernel drops packets beyond `_KERNEL_BYTES` meanwhile; callers
#: repeat theirs, so that one gets through.
_ROW = 64
_REST_S = 0.02

#: Receive buffer; the kernel doubles the number for its own bookkeeping, see socket(7).
_KERNEL_BYTES = 65_536

#: Least time between two calls of `on_called`, seconds: packets are repeated.
_SAME_CALL_S = 1.0

#: Pause after an error of the socket, seconds.
_FAULT_REST_S = 1.0


def bind_wake_socket(port: int) -> socket.socket:
    """Bind a UDP port on all addresses, IPv4 and IPv6.

    Raises:
        StartupError: If it is taken, or below 1024 and not for this user. A box needs it only for
            waking.
    """
    both = socket.has_dualstack_ipv6()
    sock = socket.socket(socket.AF_INET6 if both else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if both:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("", port))
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EACCES:
            why = (
                "may not be used by this user; `inglenook service install` has systemd hold it, "
                "and any above 1023 will do for 'wake.udp_port'"
            )
        elif exc.errno == errno.EADDRINUSE:
            why = "is taken by another program; choose another one for 'wake.udp_port', or 0"
        else:
            why = f"cannot be used: {exc.strerror}"
        raise StartupError(f"magic packets are not heard: UDP port {port} {why}") from exc
    return sock


class WakeListener:
    """Listens on one UDP socket; the cost of junk packets is bounded."""

    def __init__(
        self,
        sock: socket.socket,
        macs: Callable[[], Collection[bytes]],
        on_called: Callable[[], None],
    ) -> None:
        """Take a socket, with the packets that already wait in it.

        Args:
            sock: From `bind_wake_socket`, or inherited; `run` closes it.
            macs: Returns the addresses of this box's cards; must not block.
            on_called: Called, synchronously, when a packet wakes the box; once a second at most.
        """
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
        self._sock = sock
        self._macs = macs
        self._on_called = on_called
        self._called_at = -math.inf
        self._hearing = Guard("a magic packet")

    async def run(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        with self._sock:
            while True:
                try:
                    first = await loop.sock_recv(self._sock, PACKET_BYTES_MAX)
                except OSError as exc:
                    log.debug("a magic packet could not be read: %s", exc)
                    await asyncio.sleep(_FAULT_REST_S)
                    continue
                with self._hearing:
                    self._hear(first, loop.time())
                await asyncio.sleep(_REST_S)

    def _hear(self, first: bytes, now: float) -> None:
        macs = self._macs()
        called = any(is_called(packet, macs) for packet in self._row(first))
        if called and now - self._called_at >= _SAME_CALL_S:
            self._called_at = now
            self._on_called()

    def _row(self, packet: bytes) -> Iterator[bytes]:
        """Read a packet and those that wait behind it, at most `_ROW`."""
        yield packet
        for _ in range(_ROW - 1):
            try:
                packet = self._sock.recv(PACKET_BYTES_MAX)
            except OSError:
                # Usually that no more wait; any other error recurs, and is logged then.
                return
            yield packet
