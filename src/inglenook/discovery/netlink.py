"""Netlink socket for changes of links and addresses. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

from inglenook.common.guarded import Guard

logger = logging.getLogger(__name__)

# Groups of linux/rtnetlink.h: links, IPv4 addresses, IPv6 addresses.
_GROUPS = 0x1 | 0x10 | 0x100
_READ_BYTES = 65536


@contextlib.contextmanager
def network_changes(changed: Callable[[], None]) -> Iterator[None]:
    """Call ``changed`` on the running loop after each change, until the context is left.

    Where a sandbox forbids netlink it is never called: the caller polls, too.
    """
    with contextlib.ExitStack() as stack:
        try:
            _listen(stack, changed)
        except OSError as exc:
            logger.debug("no netlink, network changes are polled for: %s", exc)
        yield


def _listen(stack: contextlib.ExitStack, changed: Callable[[], None]) -> None:
    """Open the socket and watch it until ``stack`` closes."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    stack.enter_context(kernel)
    kernel.setblocking(False)
    kernel.bind((0, _GROUPS))

    telling = Guard("news of the network")

    def read() -> None:
        # The content of the change is ignored, and so are dropped messages (ENOBUFS).
        with contextlib.suppress(OSError):
            kernel.recv(_READ_BYTES)
        with telling:
            changed()

    loop = asyncio.get_running_loop()
    loop.add_reader(kernel, read)
    stack.callback(loop.remove_reader, kernel)
