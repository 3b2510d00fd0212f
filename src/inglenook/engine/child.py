"""One engine process: its pipe, its last words, its end. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence

import msgspec

from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.orders import Event, Order, decode_event, encode
from inglenook.errors import EngineError

log = logging.getLogger(__name__)

_READ_BYTES = 65536
_TAIL_LINES = 20
_LINE_BYTES_MAX = 1000


class WorkerExited(EngineError):
    """The engine process ended by itself; ``tail`` is the last it wrote to its standard error."""

    def __init__(self, returncode: int, tail: Sequence[str]) -> None:
        super().__init__(returncode, tail)
        self.returncode = returncode
        self.tail = tuple(tail)

    @property
    def killed(self) -> bool:
        """Whether somebody else ended it: the kernel or a person, not a fault of its own."""
        return self.returncode == -signal.SIGKILL

    def __str__(self) -> str:
        if self.killed:
            how = "was killed (by the kernel, if memory was short)"
        elif self.returncode < 0:
            how = f"died of {signal.strsignal(-self.returncode) or -self.returncode}"
        else:
            how = f"ended with exit code {self.returncode}"
        return f"the engine {how}"


class _LastWords(asyncio.SubprocessProtocol):
    """Keeps the last lines of a process's output, and knows when it is gone."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.gone = asyncio.Event()
        self._unfinished = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, rest = (self._unfinished + data).split(b"\n")
        self._unfinished = rest[-_LINE_BYTES_MAX:]
        for line in lines:
            text = line[:_LINE_BYTES_MAX].decode(errors="replace").rstrip()
            self.tail.append(text)
            log.debug("engine: %s", text)

    def connection_lost(self, exc: Exception | None) -> None:
        # Called once the process has ended and its output is read to the end.
        self.gone.set()


class Child:
    """An engine process that has been started and not yet buried."""

    def __init__(
        self,
        process: asyncio.SubprocessTransport,
        words: _LastWords,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take over what `spawn` made."""
        self._process = process
        self._words = words
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(EVENT_BYTES_MAX)

    @classmethod
    async def spawn(cls, argv: Sequence[str]) -> Child:
        """Start ``argv`` with two more arguments, the pipe's file number and our own process id.

        Raises:
            EngineError: If the program cannot be started.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process, words = await asyncio.get_running_loop().subprocess_exec(
                    _LastWords,
                    *argv,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
            except OSError as exc:
                ours.close()
                raise EngineError(f"the engine could not be started: {exc.strerror}") from exc
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, words, reader, writer)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.get_pid()

    def send(self, order: Order) -> None:
        """Send an order; never waits. An engine that does not read is noticed by its silence."""
        if not self._writer.is_closing():
            self._writer.write(frame(encode(order), ORDER_BYTES_MAX))

    async def events(self) -> list[Event]:
        """Wait for the next events. Cancelling is safe; nothing is lost.

        Raises:
            BadFrame: If it sends anything but events.
            WorkerExited: If it has ended.
        """
        while True:
            try:
                data = await self._reader.read(_READ_BYTES)
            except ConnectionResetError:
                data = b""
            if not data:
                # The pipe can close a moment before the process is gone.
                await self._words.gone.wait()
                raise WorkerExited(self._process.get_returncode() or 0, self._words.tail)
            payloads = self._frames.feed(data)
            if payloads:
                try:
                    return [decode_event(payload) for payload in payloads]
                except msgspec.MsgspecError as exc:
                    raise BadFrame("a frame that is no event") from exc

    async def close(self, patience_s: float) -> None:
        """Ask it to go by closing the pipe; kill it after ``patience_s``. Returns when it is gone."""
        self._writer.close()
        try:
            async with asyncio.timeout(patience_s):
                await self._words.gone.wait()
        except TimeoutError:
            log.debug("the engine did not go by itself; killing it")
        finally:
            self.kill()
            await self._words.gone.wait()
            self._process.close()

    def kill(self) -> None:
        """End it now; nothing happens if it has ended."""
        if self._process.get_returncode() is None:
            self._process.kill()
