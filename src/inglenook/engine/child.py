"""One engine process: its pipe, its last words, its end. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence

from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.orders import NOT_A_MESSAGE, Event, Order, decode_event, encode
from inglenook.errors import EngineError

log = logging.getLogger(__name__)

_READ_BYTES = 65536
_TAIL_LINES = 20
_LINE_BYTES_MAX = 1000

#: From the end of the pipe to the end of the process; the kernel closes files first, then reports.
_EXIT_S = 1.0


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
            self._keep(line)

    def connection_lost(self, exc: Exception | None) -> None:
        # Called once the process has ended and its output is read to the end.
        if self._unfinished:
            self._keep(self._unfinished)
        self.gone.set()

    def _keep(self, line: bytes) -> None:
        text = line[:_LINE_BYTES_MAX].decode(errors="replace").rstrip()
        self.tail.append(text)
        log.debug("engine: %s", text)


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
        try:
            return await cls._spawn(argv)
        except OSError as exc:
            raise EngineError(f"the engine could not be started: {exc.strerror}") from exc

    @classmethod
    async def _spawn(cls, argv: Sequence[str]) -> Child:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
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
            except BaseException:
                writer.close()
                raise
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
            EngineError: If it closes its pipe and lives on.
            WorkerExited: If it has ended.
        """
        while True:
            try:
                data = await self._reader.read(_READ_BYTES)
            except ConnectionError:
                # It went with orders unread, or while one was being written.
                data = b""
            if not data:
                raise await self._exit()
            payloads = self._frames.feed(data)
            if payloads:
                try:
                    return [decode_event(payload) for payload in payloads]
                except NOT_A_MESSAGE as exc:
                    raise BadFrame("a frame that is no event") from exc

    async def close(self, patience_s: float) -> None:
        """Close the pipe, which asks it to go; kill it after ``patience_s``; wait for its end."""
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

    async def _exit(self) -> EngineError:
        """What its closing the pipe turns out to mean."""
        try:
            async with asyncio.timeout(_EXIT_S):
                await self._words.gone.wait()
        except TimeoutError:
            return EngineError("the engine closed its pipe without ending, and was killed")
        return WorkerExited(self._process.get_returncode() or 0, self._words.tail)
