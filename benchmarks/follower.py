"""A phone that never gives up: it follows one answer over as many connections as it takes.

It is written to docs/protocol.md alone, and notes every breach of it. Kind: hands.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from inglenook.client.answer import FollowedAnswer, Message

#: A frame comes sooner than this while anything is going on.
_FRAME_S = 60.0

_AGAIN_S = 0.1


@dataclass
class Told(FollowedAnswer):
    """An answer as a phone received it, and where the box broke the protocol.

    Attributes:
        deltas: Every piece of text: its last frame, its channel and the text.
        came_at: When each of these came, monotonic seconds.
        refused: Attempts that did not get in, or connections that were lost.
        entered_s: From the first attempt to ``auth_ok``, seconds.
        breaches: Where the box did not keep to the protocol, in words.
    """

    created: int = 0
    frames: int = 0
    connections: int = 0
    refused: int = 0
    entered_s: float = 0.0
    rewinds: int = 0
    gone: bool = False
    deltas: list[tuple[int, str, str]] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    ends: list[Message] = field(default_factory=list)
    error: Message | None = None
    breaches: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer so far."""
        return self.texts["answer"]

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return bool(self.ends) or self.error is not None or self.gone

    def take(self, message: Message) -> None:
        """Take one frame and check that it fits."""
        match message["type"]:
            case "response.created":
                self.created += 1
            case "response.delta":
                self._check_delta(message)
            case "response.rewound":
                self.rewinds += 1
                fits = (at <= len(self.texts[name]) for name, at in message["offsets"].items())
                self._check(all(fits), "rewound forwards")
            case "response.done":
                self._check(not self.ends, "ended twice")
                self._check(message["seq"] > self.seq, "an end that is no news")
                self.ends.append(message)
            case "resume_gone":
                self.gone = True
            case "error":
                self.error = message
            case _:
                pass
        super().take(message)

    def _check_delta(self, message: Message) -> None:
        length = len(self.texts[message["channel"]])
        self._check(not self.ends, "text after the end")
        self._check(message["seq"] > self.seq, f"frame {message['seq']} after {self.seq}")
        self._check(message["offset"] >= length, "text was repeated")
        self._check(message["offset"] <= length, "text was lost")
        self.deltas.append((message["seq"], message["channel"], message["text"]))
        self.came_at.append(time.monotonic())
        self.frames += 1

    def _check(self, fits: bool, breach: str) -> None:  # noqa: FBT001 an assertion that is counted
        if not fits:
            self.breaches.append(breach)


class Follower:
    """One phone with one question.

    Attributes:
        told: What it knows so far.
    """

    def __init__(
        self,
        url: str,
        token: str,
        request: Message,
        *,
        key: str | None = None,
        told: Told | None = None,
        on_asked: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a question, or with ``told`` an answer to go on with.

        Args:
            url, token: Of the box, and of this phone.
            request: An OpenAI chat body.
            key: Idempotency key; None makes one up.
            told: What is known of the answer already.
            on_asked: Called when the box has been asked.
        """
        self.told = told or Told()
        self._url = url.replace("http", "ws", 1) + "/ws"
        self._token = token
        self.told.request = request
        self.told.idempotency_key = key or secrets.token_hex(8)
        self._on_asked = on_asked
        self._began_at = 0.0

    async def follow(self, until: Callable[[Told], bool] = lambda told: told.over) -> Told:
        """Read until ``until``, then cut the connection without a word; come back if it is lost."""
        self._began_at = asyncio.get_running_loop().time()
        while not until(self.told):
            try:
                async with connect(
                    self._url,
                    compression=None,
                    max_size=2**21,
                    subprotocols=[Subprotocol("inglenook.v1")],
                    close_timeout=1,
                ) as socket:
                    await self._talk(socket, until)
                    socket.transport.abort()
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage):
                self.told.refused += 1
                await asyncio.sleep(_AGAIN_S)
        return self.told

    async def _talk(self, socket: ClientConnection, until: Callable[[Told], bool]) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "token": self._token}))
        if json.loads(await socket.recv())["type"] != "auth_ok":
            raise AssertionError("this phone is not paired")
        if not self.told.connections:
            self.told.entered_s = asyncio.get_running_loop().time() - self._began_at
        self.told.connections += 1
        await socket.send(json.dumps(self.told.first_message()))
        self._on_asked()
        while not until(self.told):
            async with asyncio.timeout(_FRAME_S):
                message = json.loads(await socket.recv())
            if message["type"] != "state":
                self.told.take(message)


def counting(tokens: int, question: str = "Count upwards.", **fields: Any) -> Message:
    """A question whose answer has exactly so many tokens, the likeliest ones."""
    messages = [{"role": "user", "content": question}]
    return {
        "messages": messages,
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        **fields,
    }


async def whole_text(url: str, token: str, response_id: str) -> str:
    """The answer as the box has it, read by a phone that has seen nothing."""
    told = await Follower(url, token, {}, told=Told(response_id)).follow()
    return told.text
