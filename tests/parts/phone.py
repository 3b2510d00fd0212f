"""A phone, written to docs/protocol.md alone: it believes nothing and checks every frame."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

#: Some 300 tokens of the starter's.
STORY = "Once upon a time there was a box beside the hearth that read along. " * 20

#: Every frame comes sooner than this while anything is going on.
FRAME_S = 30.0

Message = dict[str, Any]

_STATUSES = {"completed", "incomplete", "cancelled", "failed"}


@dataclass
class Answer:
    """One response as it reached one device, over however many connections.

    Attributes:
        request_id: The phone's own id for it; None if it is only known by ``response_id``.
        seq: Last frame of the buffer seen.
        first_at, last_at: When the first and the last delta came, monotonic seconds.
    """

    request_id: str | None
    response_id: str = ""
    seq: int = 0
    queued: list[Message] = field(default_factory=list)
    created: Message | None = None
    deltas: list[Message] = field(default_factory=list)
    done: Message | None = None
    error: Message | None = None
    first_at: float = 0.0
    last_at: float = 0.0
    resumed: bool = False
    channels: dict[str, str] = field(default_factory=lambda: {"answer": "", "thinking": ""})

    @property
    def text(self) -> str:
        """The answer so far."""
        return self.channels["answer"]

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self.done is not None or self.error is not None

    def take(self, message: Message) -> None:
        """Take one frame, which must be one that may come now."""
        assert self.done is None, f"after the end: {message}"
        match message["type"]:
            case "error":
                self.error = message
            case "response.queued":
                self._take_queued(message)
            case "response.created":
                assert self.created is None, "created twice"
                assert not self.deltas, "created after text"
                assert isinstance(message["model"], str)
                self.created = message
            case "response.delta":
                self._take_delta(message)
            case "response.done":
                assert self.created or self.resumed or message["status"] in ("cancelled", "failed")
                assert message["seq"] > self.seq
                assert message["status"] in _STATUSES
                self.seq = message["seq"]
                self.done = message
            case other:
                raise AssertionError(f"unknown message {other}")

    def _take_queued(self, message: Message) -> None:
        assert self.created is None, "queued again after it was begun"
        assert message["position"] >= 1
        assert message["eta_s"] >= 0
        assert message["reason"] in ("busy", "thermal", "memory", "loading")
        self.queued.append(message)

    def _take_delta(self, message: Message) -> None:
        assert self.created or self.resumed, "text before created"
        assert message["seq"] > self.seq, "seq did not grow"
        text = self.channels[message["channel"]]
        # Python counts a string's length in code points, as the protocol does.
        assert message["offset"] == len(text), "text was lost or repeated"
        assert message["text"], "an empty delta"
        assert len(message["text"].encode()) <= 32 * 1024
        self.channels[message["channel"]] = text + message["text"]
        self.seq = message["seq"]
        self.deltas.append(message)
        self.last_at = asyncio.get_running_loop().time()
        self.first_at = self.first_at or self.last_at


@dataclass
class Ahead:
    """Something the box was asked to read ahead; it ends by one message of either kind."""

    request_id: str
    prepared: Message | None = None
    error: Message | None = None

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self.prepared is not None or self.error is not None

    def take(self, message: Message) -> None:
        """Take one frame, which must be the only one."""
        assert not self.over, f"after the end: {message}"
        if message["type"] == "error":
            self.error = message
            return
        assert message["type"] == "prepared"
        assert 0 <= message["cached_tokens"] <= message["prompt_tokens"]
        self.prepared = message


class Phone:
    """One connection. `connected` makes it; frames are read only while one of its methods waits."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: Message = {}
        self.states: list[Message] = []
        self.others: list[Message] = []
        self.answers: list[Answer] = []
        self.ahead: dict[str, Ahead] = {}
        self._ids = (f"c{number}" for number in itertools.count(1))

    @property
    def state(self) -> Message:
        """The box's, as it was told last."""
        told = self.states[-1] if self.states else self.hello
        state: Message = told["state"]
        return state

    async def send(self, message: Message) -> None:
        """Send one message."""
        await self.socket.send(json.dumps(message))

    async def authenticate(self, token: str) -> Message:
        """Say who this is; returns the box's answer, whatever it is."""
        greeting = await self.receive()
        assert greeting["type"] == "auth_required"
        assert greeting["v"] == 1
        client = {"name": "test phone", "version": "1"}
        await self.send({"type": "auth", "token": token, "client": client})
        return await self.receive()

    async def generate(self, request: Message | str, key: str | None = None) -> Answer:
        """Ask, without waiting for the answer; a string is one user's message."""
        if isinstance(request, str):
            request = chat(request)
        answer = Answer(next(self._ids))
        self.answers.append(answer)
        message: Message = {"type": "generate", "id": answer.request_id, "request": request}
        if key is not None:
            message["idempotency_key"] = key
        await self.send(message)
        return answer

    async def prepare(self, request: Message | str) -> Ahead:
        """Say what is probably coming, without waiting; a string is what is typed so far."""
        if isinstance(request, str):
            request = chat(request)
        ahead = Ahead(next(self._ids))
        self.ahead[ahead.request_id] = ahead
        await self.send({"type": "prepare", "id": ahead.request_id, "request": request})
        return ahead

    async def resume(self, answer: Answer) -> Answer:
        """Go on reading an answer that was lost from sight after `Answer.seq`."""
        answer.resumed = True
        answer.request_id = None
        self.answers.append(answer)
        await self.send({"type": "resume", "response_id": answer.response_id, "after": answer.seq})
        return answer

    async def cancel(self, answer: Answer) -> None:
        """Ask for the end of an answer; its ``response.done`` still comes."""
        await self.send({"type": "cancel", "response_id": answer.response_id})

    async def finish(self, *answers: Answer | Ahead) -> None:
        """Read until these have ended."""
        while not all(answer.over for answer in answers):
            await self.step()

    async def ask(self, request: Message | str, key: str | None = None) -> Answer:
        """Ask and read to the end."""
        answer = await self.generate(request, key)
        await self.finish(answer)
        return answer

    async def begin(self, request: Message | str, deltas: int = 1) -> Answer:
        """Ask and read the first few deltas."""
        answer = await self.generate(request)
        while len(answer.deltas) < deltas:
            assert not answer.over, f"over before delta {deltas}: {answer.done or answer.error}"
            await self.step()
        return answer

    async def step(self) -> Message:
        """Read one frame and give it to whom it belongs to, or to `states` or `others`."""
        message = await self.receive()
        answer = self._owner(message)
        ahead = self.ahead.get(message.get("id", ""))
        if ahead is not None:
            ahead.take(message)
        elif answer is not None:
            answer.take(message)
        elif message["type"] == "state":
            self.states.append(message)
        else:
            self.others.append(message)
        return message

    async def until(self, kind: str) -> Message:
        """Read until a message of this type has come."""
        while True:
            message = await self.step()
            if message["type"] == kind:
                return message

    async def receive(self) -> Message:
        """Read one frame."""
        async with asyncio.timeout(FRAME_S):
            frame = await self.socket.recv()
        assert isinstance(frame, str), "a binary frame"
        message: Message = json.loads(frame)
        assert isinstance(message["type"], str)
        return message

    async def wait_closed(self) -> int:
        """Read whatever still comes, to the end; returns the close code."""
        try:
            while True:
                await self.step()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006

    def _owner(self, message: Message) -> Answer | None:
        """The answer a frame belongs to; one that has no ``response_id`` yet is told it."""
        response_id, request_id = message.get("response_id"), message.get("id")
        for answer in reversed(self.answers):
            if request_id is not None and answer.request_id == request_id:
                answer.response_id = response_id or ""
                return answer
            if response_id is not None and answer.response_id == response_id:
                is_response = message["type"].startswith("response.")
                return answer if is_response else None
        return None


@asynccontextmanager
async def knocking(url: str, **options: Any) -> AsyncIterator[Phone]:
    """Connect without saying who this is."""
    ws_url = url.replace("http", "ws", 1) + "/ws"
    options.setdefault("subprotocols", [Subprotocol("inglenook.v1")])
    async with connect(ws_url, compression=None, proxy=None, max_size=2**21, **options) as socket:
        yield Phone(socket)


@asynccontextmanager
async def connected(url: str, token: str, **options: Any) -> AsyncIterator[Phone]:
    """Connect as a paired device."""
    async with knocking(url, **options) as phone:
        phone.hello = await phone.authenticate(token)
        assert phone.hello["type"] == "auth_ok", phone.hello
        yield phone


def chat(question: str, **fields: Any) -> Message:
    """An OpenAI chat body with one message."""
    return {"messages": [{"role": "user", "content": question}], **fields}


def long_chat(tokens: int = 200, **fields: Any) -> Message:
    """A question whose answer is exactly so many tokens long."""
    return chat("Count upwards.", max_tokens=tokens, ignore_eos=True, temperature=0, **fields)
