"""An event loop in a thread of its own, so that a person's terminal can be waited for as it is."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: What is cancelled at the end lets go at once; who does not is left behind.
_JOIN_S = 5.0


class LoopThread:
    """Runs coroutines for a thread that itself has no loop, from ``with`` to its end.

    Connections stay alive while that thread waits for a key, and its Ctrl-C interrupts what it
    does, not the loop.
    """

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        # A daemon: a loop that hangs must not keep the program.
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
        """Have it run; its result may be waited for."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, T], within_s: float | None = None) -> T:
        """Run it, and wait for what it returns or raises.

        Raises:
            TimeoutError: If that takes longer than ``within_s`` seconds.
        """
        return self.start(coroutine).result(within_s)

    def watch(self, source: socket.socket, receive: Callable[[bytes], None]) -> Callable[[], None]:
        """Have what comes in there told, in the loop's thread; returns what ends that."""
        assert self._loop is not None
        loop = self._loop
        source.setblocking(False)
        loop.call_soon_threadsafe(loop.add_reader, source, lambda: receive(source.recv(4096)))

        async def end() -> None:
            loop.remove_reader(source)

        return lambda: self.call(end(), _JOIN_S)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Have something called, in the loop's thread; from there alone."""
        assert self._loop is not None
        self._loop.call_later(delay_s, call)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
