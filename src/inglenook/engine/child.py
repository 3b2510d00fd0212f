"""One engine process: its pipe, its last words, its end. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence
from functools import partial

from inglenook.common.errors import EngineError
from inglenook.engine.environment import engine_environment
from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.messages import NOT_A_MESSAGE, Event, Order, decode_event, encode

log = logging.getLogger(__name__)

_TAIL_LINES = 20
_LINE_BYTES_MAX = 1000

#: From the end of the pipe to the end of the process; the kernel closes files first, then reports.
#: Much longer than it takes: on a box that swaps, how an engine died must not be missed.
_EXIT_S = 5.0


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

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe
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
        # Long after the end of the pipe has been told; if news of that got lost, nobody else tells.
        asyncio.get_running_loop().call_later(_EXIT_S, self._pipe.connection_lost, None)

    def _keep(self, line: bytes) -> None:
        text = line[:_LINE_BYTES_MAX].decode(errors="replace").rstrip()
        self.tail.append(text)
        log.debug("engine: %s", text)


class _Pipe(asyncio.Protocol):
    """What the engine says, cut into events, until somebody asks for them.

    A stream reader would do the same with twice the work, ten times a second, on cores whose
    every other moment computes.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.nonsense: BadFrame | None = None
        self.over = False
        self.news = asyncio.Event()
        self._frames = FrameReader(EVENT_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if self.nonsense is not None:
            return
        try:
            self.events += [decode_event(payload) for payload in self._frames.feed(data)]
        except NOT_A_MESSAGE:
            self.nonsense = BadFrame("a frame that is no event")
        except BadFrame as problem:
            self.nonsense = problem
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        # With an error, too: it went with orders unread, or while one was being written.
        self.over = True
        self.news.set()


class Child:
    """An engine process that has been started and not yet buried."""

    def __init__(
        self,
        process: asyncio.SubprocessTransport,
        words: _LastWords,
        transport: asyncio.Transport,
        pipe: _Pipe,
    ) -> None:
        """Take over what `spawn` made."""
        self._process = process
        self._words = words
        self._transport = transport
        self._pipe = pipe

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
        environment = await asyncio.to_thread(engine_environment)
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            transport, pipe = await loop.create_connection(_Pipe, sock=ours)
            try:
                process, words = await loop.subprocess_exec(
                    partial(_LastWords, pipe),
                    *argv,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
            except BaseException:
                transport.close()
                raise
        return cls(process, words, transport, pipe)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.get_pid()

    def send(self, order: Order) -> None:
        """Send an order; never waits. An engine that does not read is noticed by its silence."""
        if not self._transport.is_closing():
            self._transport.write(frame(encode(order), ORDER_BYTES_MAX))

    async def events(self) -> list[Event]:
        """Wait for the next events. Cancelling is safe; nothing is lost.

        Raises:
            BadFrame: If it sends anything but events.
            EngineError: If it closes its pipe and lives on.
            WorkerExited: If it has ended.
        """
        pipe = self._pipe
        while True:
            if pipe.events:
                events, pipe.events = pipe.events, []
                return events
            if pipe.nonsense is not None:
                raise pipe.nonsense
            if pipe.over:
                raise await self._exit()
            pipe.news.clear()
            await pipe.news.wait()

    async def close(self, patience_s: float) -> None:
        """Close the pipe, which asks it to go; kill it after ``patience_s``; wait for its end."""
        self._transport.close()
        try:
            async with asyncio.timeout(patience_s):
                await self._words.gone.wait()
        except TimeoutError:
            log.debug("the engine did not go by itself; killing it")
        finally:
            self.kill()
            await self._wait_gone()
            self._process.close()

    async def _wait_gone(self) -> None:
        """Wait for its end, however long the kernel takes."""
        while not self._words.gone.is_set():
            try:
                async with asyncio.timeout(_EXIT_S):
                    await self._words.gone.wait()
            except TimeoutError:
                if self._process.get_returncode() is not None:
                    log.debug("the engine has ended, and news of that got lost")
                    return

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
