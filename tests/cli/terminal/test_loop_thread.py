"""A loop in a thread of its own answers whoever waits, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from inglenook.cli.terminal.loop_thread import LoopThread

PATIENCE_S = 20.0


async def where() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise ValueError("as meant")


def test_what_runs_there_is_waited_for() -> None:
    """Its result comes, or what it raises."""
    with LoopThread() as loop:
        assert loop.call(where()) == "connections"
        with pytest.raises(ValueError, match="as meant"):
            loop.call(fail())


def test_a_wait_may_have_an_end() -> None:
    """What is still running when all ends is cancelled."""
    cancelled = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with LoopThread() as loop, pytest.raises(TimeoutError):
        loop.call(for_ever(), 0.01)

    assert cancelled.is_set()


def test_what_comes_in_is_heard_until_nobody_listens() -> None:
    """In the loop's thread; and something can be called from there later."""
    heard: list[bytes] = []
    called = threading.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs, LoopThread() as loop:

        def hear(data: bytes) -> None:
            heard.append(data)
            loop.later(0.001, called.set)

        end = loop.watch(ours, hear)
        theirs.send(b"one")
        assert called.wait(PATIENCE_S)
        end()
        theirs.send(b"two")
        loop.call(where())

    assert heard == [b"one"]
