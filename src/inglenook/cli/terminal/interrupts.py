"""Ctrl-C in `inglenook chat`: it ends the answer first, and only then the program."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from inglenook.cli.terminal.loop_thread import LoopThread

_STDERR = 2

#: While an answer is generated: the first stops it, the second prints what the third does.
_TO_WARN, _TO_END = 2, 3

#: Seconds after a signal at which the main thread is woken again.
_KICKS_S = (0.02, 0.1, 0.5)


class Interrupts:
    """Handles Ctrl-C from ``with`` to its end.

    While a line is typed it is a `KeyboardInterrupt`, as anywhere. While an answer is generated it
    stops the answer. In between it is ignored.
    """

    def __init__(self, loop: LoopThread) -> None:
        """``loop`` wakes the main thread again after a signal."""
        self._loop = loop
        self._stop: Callable[[], object] | None = None
        self._count = 0
        self._asking = False
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Interrupts:
        for number, handler in ((signal.SIGINT, self._handle), (signal.SIGURG, _nothing)):
            before = signal.signal(number, handler)
            self._held.callback(signal.signal, number, before)
        # Python's line editor handles signals only if one interrupts its waiting. One that arrived
        # just before would wait for the end of the line; so the main thread is woken again.
        ours, theirs = socket.socketpair()
        self._held.enter_context(ours)
        self._held.enter_context(theirs)
        theirs.setblocking(False)
        self._held.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(theirs.fileno()))
        self._held.callback(self._loop.watch(ours, self._kick_for))
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._held.close()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While a line is typed."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    @contextlib.contextmanager
    def answering(self, stop: Callable[[], object]) -> Iterator[None]:
        """While an answer is generated; ``stop`` ends it, and is called from a signal handler."""
        self._stop, self._count = stop, 0
        try:
            yield
        finally:
            self._stop = None

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._asking:
            raise KeyboardInterrupt
        if self._stop is None:
            return
        self._count += 1
        if self._count == 1:
            self._stop()
        elif self._count == _TO_WARN:
            # Not `print`, which may be what this has interrupted.
            os.write(_STDERR, b"\n(the box has not stopped yet; Ctrl-C again ends this)\n")
        elif self._count >= _TO_END:
            raise KeyboardInterrupt

    def _kick_for(self, numbers: bytes) -> None:
        if signal.SIGURG not in numbers:
            for delay_s in _KICKS_S:
                self._loop.later(delay_s, _kick)


def _kick() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGURG)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
