"""An answer on its way: what comes is kept as it is, and read when all is over. Kind: hands.

Client and servers share the cores, so a client that takes time takes it from what it measures. Both
kinds of client here only note when bytes came and look for the end in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.speed.stream import Piece, Stream, Unmeasurable

#: Longer than anything measured here; a server that hangs ends the run.
_ANSWER_S = 240.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that came at one moment."""

    at_s: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What the bytes of an answer say."""

    pieces: tuple[Piece, ...]
    text: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0


class Answer:
    """What one question brings."""

    def __init__(
        self, read: Callable[[Sequence[Arrival]], Reading], stop: Callable[[], None]
    ) -> None:
        """Begin when the question has been sent.

        Args:
            read: Makes sense of what came; raises `Unmeasurable`.
            stop: Makes the server end the answer now.
        """
        self.stop = stop
        self._read = read
        self._asked_s = asyncio.get_running_loop().time()
        self._arrivals: list[Arrival] = []
        self._over = asyncio.Event()
        self._wanted = 0
        self._enough = asyncio.Event()

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """What has come so far."""
        return self._arrivals

    def came(self, at_s: float, data: bytes) -> None:
        """Take some bytes."""
        self._arrivals.append(Arrival(at_s, data))
        if len(self._arrivals) >= self._wanted:
            self._enough.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._over.set()
        self._enough.set()

    async def more(self, arrivals: int) -> None:
        """Wait until so many more pieces have come, or the answer is over."""
        self._wanted = len(self._arrivals) + arrivals
        if not self._over.is_set():
            self._enough.clear()
        await _within(self._enough)

    async def stream(self) -> Stream:
        """Wait for the end, and read it all.

        Raises:
            Unmeasurable: If there was no answer.
        """
        await _within(self._over)
        reading = self._read(self._arrivals)
        if not reading.pieces:
            raise Unmeasurable("an answer had no text at all")
        return Stream(
            self._asked_s,
            reading.pieces,
            reading.text,
            reading.prompt_tokens,
            reading.cached_tokens,
            reading.tokens,
        )


async def _within(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_ANSWER_S):
            await event.wait()
    except TimeoutError as exc:
        raise Unmeasurable(f"a server said nothing for {_ANSWER_S:.0f} s") from exc
