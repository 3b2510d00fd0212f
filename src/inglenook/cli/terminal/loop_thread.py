"""An event loop in a thread of its own, so that the main thread can block on the terminal."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: Cancelled tasks end at once; a thread that takes longer is left behind.
_JOIN_S = 5.0


class LoopThread:
    """Runs coroutines for a thread that itself has no loop, from ``with`` to its end.

    Connections stay alive while that thread waits for a key, and Ctrl-C interrupts that thread
    alone.
    """

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        # A daemon thread: a loop that hangs must not keep the program alive.
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_JOIN_S)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine; returns a future of its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, T], within_s: float | None = None) -> T:
        """Run a coroutine, and wait for its result.

        Raises:
            TimeoutError: If that takes longer than ``within_s`` seconds.
        """
        return self.start(coroutine).result(within_s)

    def watch(self, source: socket.socket, receive: Callable[[bytes], None]) -> Callable[[], None]:
        """Call ``receive`` with a socket's data, in the loop's thread; returns what ends it."""
        assert self._loop is not None
        loop = self._loop
        source.setblocking(False)
        loop.call_soon_threadsafe(loop.add_reader, source, lambda: receive(source.recv(4096)))

        async def end() -> None:
            loop.remove_reader(source)

        return lambda: self.call(end(), _JOIN_S)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call something later in the loop's thread; to be called there only."""
        assert self._loop is not None
        self._loop.call_later(delay_s, call)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
