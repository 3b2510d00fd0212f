"""Puts this very process into a namespace's network, so that a test can be the phone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts.netns import Machine

_CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def network_of(machine: Machine) -> Iterator[None]:
    """Sockets that this thread opens in the block, and threads that it starts, are in there."""
    with Path("/proc/thread-self/ns/net").open() as ours:
        with Path(f"/proc/{machine.pid}/ns/net").open() as theirs:
            _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(ours.fileno())


def _enter(namespace: int) -> None:
    # os.setns is there from Python 3.12 on.
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
