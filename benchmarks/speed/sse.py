"""The same for a server that streams over HTTP: one POST, one event stream. Kind: hands."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.speed.answer import Answer, Arrival, Reading
from benchmarks.speed.question import Question
from benchmarks.speed.stream import Piece, Unmeasurable

_LAST_EVENT = b"data: [DONE]"


class EventStream(asyncio.Protocol):
    """One question on a connection of its own; ``answer`` is there once it is connected."""

    answer: Answer

    def __init__(self, host: str, question: Question) -> None:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        body = json.dumps(question.body() | options).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._loop = asyncio.get_running_loop()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the question; only from here on time counts."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)
        self.answer = Answer(read_events, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Note when bytes came."""
        self.answer.came(self._loop.time(), data)
        end = self._tail + data[-64:]
        self._tail = end[-len(_LAST_EVENT) :]
        if _LAST_EVENT in end:
            self.answer.end()
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way."""
        self.answer.end()


async def ask(url: str, question: Question) -> Answer:
    """Connect and ask."""
    address = url.removeprefix("http://")
    host, _, port = address.partition(":")
    _transport, stream = await asyncio.get_running_loop().create_connection(
        lambda: EventStream(address, question), host, int(port)
    )
    return stream.answer


def read_events(arrivals: Sequence[Arrival]) -> Reading:
    """Read the events of one OpenAI chat completion.

    Raises:
        Unmeasurable: If the server refused it.
    """
    pieces: list[Piece] = []
    texts: list[str] = []
    usage: dict[str, Any] = {}
    for at_s, event in _events(arrivals):
        if "error" in event:
            raise Unmeasurable(f"llama.cpp's server gave no answer: {event['error']['message']}")
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            delta = choice["delta"]
            text = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
            if text:
                pieces.append(Piece(at_s, len(text)))
                texts.append(text)
    details = usage.get("prompt_tokens_details") or {}
    return Reading(
        tuple(pieces),
        "".join(texts),
        usage.get("prompt_tokens", 0),
        details.get("cached_tokens", 0),
        usage.get("completion_tokens", 0),
    )


def _events(arrivals: Sequence[Arrival]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Each event, with the moment when the last of its bytes came."""
    data = b"".join(arrival.data for arrival in arrivals)
    ends, end = [], 0
    for arrival in arrivals:
        end += len(arrival.data)
        ends.append(end)
    head, _, _ = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise Unmeasurable(f"llama.cpp's server answered {data[:400].decode(errors='replace')!r}")
    for start, body in _chunks(data, len(head) + 4):
        at_s = arrivals[bisect_right(ends, start + len(body) - 1)].at_s
        for line in body.splitlines():
            if line.startswith(b"data: ") and line != _LAST_EVENT:
                yield at_s, json.loads(line.removeprefix(b"data: "))


def _chunks(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The chunks of a body (RFC 9112, section 7.1): where each begins, and its bytes.

    llama.cpp's server sends whole events in each.
    """
    while True:
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            return
        size = int(data[start:line_end], 16)
        start = line_end + 2
        if size == 0 or start + size > len(data):
            return
        yield start, data[start : start + size]
        start += size + 2
