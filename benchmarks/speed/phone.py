"""A phone that costs next to nothing: one WebSocket to a daemon. Kind: hands.

It speaks through the sans-I/O core of ``websockets``, so frames, pings and the handshake are the
real thing; but nothing is decoded while answers are under way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from benchmarks.speed.answer import Answer, Arrival, Reading
from benchmarks.speed.question import Question
from benchmarks.speed.stream import Piece, Unmeasurable

_REPLY_S = 60.0

#: Frames begin with their type; these are the ends of an answer, and what is no part of any.
_ENDS = (b'{"type":"response.done"', b'{"type":"error"')
_STATE = b'{"type":"state"'
_OF_PREPARE = b'"id":"p'


class Phone(asyncio.Protocol):
    """One device, with one question at a time."""

    def __init__(self, url: str, token: str) -> None:
        self._token = token
        self._ws = ClientProtocol(
            parse_uri(url.replace("http", "ws", 1) + "/ws"),
            subprotocols=[Subprotocol("inglenook.v1")],
            max_size=2**21,
        )
        self._loop = asyncio.get_running_loop()
        self._answer: Answer | None = None
        self._prepares = 0
        self._lost = asyncio.Event()
        self._replies: asyncio.Queue[bytes] = asyncio.Queue()

    async def enter(self) -> None:
        """Say who this is.

        Raises:
            Unmeasurable: If the daemon does not let this phone in.
        """
        await self._reply()
        self._send({"type": "auth", "token": self._token})
        hello = await self._reply()
        if hello["type"] != "auth_ok":
            raise Unmeasurable(f"the daemon does not let this phone in: {hello['message']}")

    def begin(self, question: Question) -> Answer:
        """Send a question."""
        self._answer = None
        self._send({"type": "generate", "id": "q", "request": question.body()})
        self._answer = Answer(_read, self._cancel)
        return self._answer

    def prepare(self, question: Question) -> None:
        """Say what is probably coming; whatever the daemon replies is for `replies`."""
        self._prepares += 1
        self._send({"type": "prepare", "id": f"p{self._prepares}", "request": question.body()})

    def ping(self) -> None:
        """Ask for a sign of life, as the page does now and then."""
        self._send({"type": "ping", "t": 0})

    def replies(self) -> list[dict[str, Any]]:
        """What the daemon has replied to `prepare` so far.

        Raises:
            Unmeasurable: If it does not know this message.
        """
        replies = [json.loads(self._replies.get_nowait()) for _ in range(self._replies.qsize())]
        for reply in replies:
            if reply["type"] == "error" and reply["code"] != "busy":
                raise Unmeasurable(f"this daemon does not read ahead: {reply['message']}")
        return replies

    async def close(self) -> None:
        """Hang up, and wait until the connection is gone."""
        self._transport.abort()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ws.send_request(self._ws.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Note when frames came."""
        now = self._loop.time()
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._take(now, bytes(event.data))
        # Pings are answered.
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever was under way."""
        self._lost.set()
        self._replies.put_nowait(b'{"type":"error","code":"lost","message":"it hung up"}')
        if self._answer is not None:
            self._answer.end()

    def _take(self, now: float, frame: bytes) -> None:
        if frame.startswith(_STATE):
            return
        if self._answer is None or _OF_PREPARE in frame:
            self._replies.put_nowait(frame)
            return
        self._answer.came(now, frame)
        if frame.startswith(_ENDS):
            self._answer.end()
            self._answer = None

    def _cancel(self) -> None:
        if self._answer is None:
            return
        for arrival in self._answer.arrivals:
            response_id = json.loads(arrival.data).get("response_id")
            if response_id is not None:
                self._send({"type": "cancel", "response_id": response_id})
                return

    async def _reply(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_REPLY_S):
                reply: dict[str, Any] = json.loads(await self._replies.get())
        except TimeoutError as exc:
            raise Unmeasurable(f"the daemon said nothing for {_REPLY_S:.0f} s") from exc
        return reply

    def _send(self, message: dict[str, Any]) -> None:
        if self._ws.state is not State.OPEN:
            raise Unmeasurable("the daemon hung up")
        self._ws.send_text(json.dumps(message).encode())
        self._flush()

    def _flush(self) -> None:
        for data in self._ws.data_to_send():
            if data:
                self._transport.write(data)


async def connect(url: str, token: str) -> Phone:
    """Connect as a paired device."""
    host, _, port = url.removeprefix("http://").partition(":")
    _transport, phone = await asyncio.get_running_loop().create_connection(
        lambda: Phone(url, token), host, int(port)
    )
    try:
        await phone.enter()
    except Unmeasurable:
        await phone.close()
        raise
    return phone


def _read(arrivals: Sequence[Arrival]) -> Reading:
    """Read the frames of one response.

    Raises:
        Unmeasurable: If the daemon refused it or failed.
    """
    pieces: list[Piece] = []
    texts: list[str] = []
    usage = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}
    for arrival in arrivals:
        message = json.loads(arrival.data)
        match message["type"]:
            case "response.delta":
                pieces.append(Piece(arrival.at_s, len(message["text"])))
                texts.append(message["text"])
            case "response.done" if message["status"] != "failed":
                usage = message["usage"]
            case "response.done" | "error":
                fault = message.get("error") or message
                raise Unmeasurable(f"the daemon gave no answer: {fault['message']}")
            case _:
                pass
    return Reading(
        tuple(pieces),
        "".join(texts),
        usage["prompt_tokens"],
        usage["cached_tokens"],
        usage["completion_tokens"],
    )
