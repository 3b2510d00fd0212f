"""``POST /v1/inference``: one question, one answer, for the smallest of clients. Kind: hands.

Nobody may be reading along, so an answer is bounded in tokens and in time. It also ends when the
client hangs up: the handler is cancelled then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from aiohttp import web

from inglenook.auth.devices import Scope
from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.gateway.context import HOUSE
from inglenook.gateway.guard import HEADERS, need_scope
from inglenook.gateway.http.body import read_json
from inglenook.gateway.weight import weight_of
from inglenook.protocol.codec import TEXT_BYTES_MAX
from inglenook.serving.response import Response

#: What an answer may have if the request does not say: some 1,400 English words, or the thoughts
#: and the answer of a model that thinks.
DEFAULT_MAX_TOKENS: Final = 2048

DEFAULT_TIMEOUT_S: Final = 300.0
TIMEOUT_S_MAX: Final = 3600.0

#: How long the engine may take to end an answer whose time is over; a step takes one second.
_END_S: Final = 5.0

#: How long a client may take to read what was sent.
_SEND_S: Final = 15.0

#: A header with what was done to the conversation; docs/protocol.md has the words.
ADJUSTMENTS: Final = "Inglenook-Adjustments"

_PLAIN: Final = "text/plain; charset=utf-8"

#: Ends of an answer that was not broken off: as the model, or as `max_tokens`, would have it.
_WHOLE: Final = ("stop", "length")


#: Fields that are those of a chat body.
_AS_IN_CHAT: Final = (
    *("repetition_detection", "thinking", "enable_thinking", "reasoning_effort"),
    "chat_template_kwargs",
)


class Waiters:
    """The requests that wait for an answer here; all hear of it when the box shuts down."""

    def __init__(self) -> None:
        self.stopping = False
        self.waiting: set[asyncio.Event] = set()

    async def stop(self, _app: web.Application) -> None:
        """Let nobody wait any longer."""
        self.stopping = True
        for changed in self.waiting:
            changed.set()


WAITERS = web.AppKey("waiters", Waiters)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A body, checked as far as it concerns this door.

    Attributes:
        body: The OpenAI chat body it stands for.
        timeout_s: How long the client waits.
        stream: It wants the answer's text as it comes, and nothing else.
    """

    body: Mapping[str, Any]
    timeout_s: float
    stream: bool


async def inference(request: web.Request) -> web.StreamResponse:
    """Answer when the answer is whole; or, if that is asked for, as it comes."""
    device = need_scope(request, Scope.CHAT)
    asked = _read(await read_json(request), request.headers.get("Accept", ""))
    desk = request.app[HOUSE].desk
    response = desk.submit(
        device.device_id, asked.body, weight=weight_of(device), thinking=device.thinking
    )
    try:
        with _Watch(response, request.app[WAITERS]) as watch:
            until = asyncio.get_running_loop().time() + asked.timeout_s
            if asked.stream:
                return await _stream(request, watch, until)
            in_time = await watch.over(until)
            if not in_time:
                _raise_if_not_begun(response)
                desk.cancel(response)
                await watch.over(asyncio.get_running_loop().time() + _END_S)
            result = _result(response, in_time=in_time)
            return web.json_response(result, headers=_adjustments(response))
    finally:
        # If the client hung up, nobody will ever read this answer; else it has ended anyway.
        desk.cancel(response)


def _read(body: Any, accept: str) -> _Asked:
    question = body.get("question") if isinstance(body, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise Problem(Code.BAD_REQUEST, "The body must be an object with a 'question'.")
    timeout_s, stream = body.get("timeout_s"), body.get("stream")
    if timeout_s is None:
        timeout_s = DEFAULT_TIMEOUT_S
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        timeout_s = 0
    if not 0 < timeout_s <= TIMEOUT_S_MAX:
        text = f"'timeout_s' must be a number of seconds above 0, at most {TIMEOUT_S_MAX:g}."
        raise Problem(Code.BAD_REQUEST, text)
    if not isinstance(stream, bool | None):
        raise Problem(Code.BAD_REQUEST, "'stream' must be true or false.")
    max_tokens = body.get("max_tokens")
    chat = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens,
        **{name: body.get(name) for name in _AS_IN_CHAT},
    }
    return _Asked(chat, float(timeout_s), "text/plain" in accept if stream is None else stream)


class _Watch:
    """Sees what becomes of a response, while it is open."""

    def __init__(self, response: Response, waiters: Waiters) -> None:
        self.response = response
        self._waiters = waiters
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        self.response.subscribe(self._changed.set)
        self._waiters.waiting.add(self._changed)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._waiters.waiting.discard(self._changed)
        self.response.unsubscribe(self._changed.set, asyncio.get_running_loop().time())

    async def over(self, until: float) -> bool:
        """Wait for the end, until a moment on the loop's clock; return whether it has come."""
        while not self.response.status.over:
            if not await self.news(until):
                return False
        return True

    async def news(self, until: float) -> bool:
        """Wait for a change, until a moment on the loop's clock; return whether there was one.

        Raises:
            Problem: `Code.SHUTTING_DOWN` if the box goes away before the response has ended.
        """
        if self._waiters.stopping and not self.response.status.over:
            raise Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


def _raise_if_not_begun(response: Response) -> None:
    """A client whose time is over before there was any text has an error, not an empty answer."""
    if not any(response.length(channel) for channel in Channel):
        place = response.place
        text = "The answer did not begin in the time the request allows."
        raise Problem(Code.BUSY, text, retry_after_s=None if place is None else place.eta_s)


def _result(response: Response, *, in_time: bool) -> dict[str, Any]:
    """The answer as JSON."""
    outcome = response.outcome
    usage = None
    if outcome is not None:
        if outcome.problem is not None:
            raise outcome.problem
        usage = {
            "prompt_tokens": outcome.prompt_tokens,
            "completion_tokens": outcome.completion_tokens,
            "cached_tokens": outcome.cached_tokens,
        }
    return {
        "answer": response.text(Channel.ANSWER),
        "finish_reason": _finish_reason(response, in_time=in_time),
        "usage": usage,
    }


def _finish_reason(response: Response, *, in_time: bool) -> str:
    """Why an answer has ended that did not fail."""
    if response.outcome is not None and response.outcome.finish_reason is not None:
        return response.outcome.finish_reason
    if in_time:
        # Nobody else knows its id, so nobody else cancels it.
        raise Problem(Code.REVOKED, "This device is no longer paired with the box.")
    return "timeout"


def _adjustments(response: Response) -> dict[str, str]:
    """Say what was done to the conversation, if anything was."""
    told = ", ".join(response.adjustments)
    return {ADJUSTMENTS: told} if told else {}


async def _stream(request: web.Request, watch: _Watch, until: float) -> web.StreamResponse:
    """Send the answer's text as it comes.

    There is no room for a reason behind it. So a text that is no whole answer is broken off: its
    last chunk never comes, which every client reports (curl exits with 18).
    """
    response = watch.response
    stream = web.StreamResponse(headers={**HEADERS, "Content-Type": _PLAIN})
    whole = False
    try:
        async for text in _texts(watch, until):
            if not stream.prepared:
                stream.headers.update(_adjustments(response))
            await _send(request, stream, text)
        if not response.status.over:
            _raise_if_not_begun(response)
        else:
            whole = _result(response, in_time=True)["finish_reason"] in _WHOLE
    except Problem:
        if not stream.prepared:
            raise
    if not stream.prepared:
        await stream.prepare(request)
    if not whole and request.transport is not None:
        request.transport.close()
    return stream


async def _texts(watch: _Watch, until: float) -> AsyncIterator[str]:
    """Give the answer's text until its end, or until a moment on the loop's clock."""
    seq = 0
    more = True
    while more:
        over = watch.response.status.over
        for piece in watch.response.after(seq, TEXT_BYTES_MAX):
            seq = piece.seq
            if piece.channel is Channel.ANSWER:
                yield piece.text
        more = not over and await watch.news(until)


async def _send(request: web.Request, stream: web.StreamResponse, text: str) -> None:
    try:
        async with asyncio.timeout(_SEND_S):
            if not stream.prepared:
                await stream.prepare(request)
            await stream.write(text.encode())
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from None
