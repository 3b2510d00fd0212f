"""``POST /v1/inference``: one question, one answer, for the simplest clients. Kind: hands.

The client may wait for the whole answer, so it is bounded in tokens and in time. It also ends when
the client hangs up: the handler is cancelled then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from inglenook.auth.devices import Scope
from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.gateway.context import CHAT
from inglenook.gateway.guard import need_scope
from inglenook.gateway.http.body import read_json
from inglenook.gateway.http.errors import HEADERS
from inglenook.gateway.http.response_watch import WAITERS, ResponseWatch
from inglenook.protocol.codec import TEXT_BYTES_MAX
from inglenook.serving.cursor import ResponseCursor
from inglenook.serving.response import Response
from inglenook.serving.response_parts import TextPiece

#: Tokens of an answer if the request sets no limit: some 1,400 English words, or the thoughts and
#: the answer of a model that thinks.
DEFAULT_MAX_TOKENS: Final = 2048

DEFAULT_TIMEOUT_S: Final = 300.0
TIMEOUT_S_MAX: Final = 3600.0

#: Time the engine has to end an answer whose time is over, seconds; a step takes at most one.
_END_S: Final = 5.0

#: Time a client has to read what was sent, seconds.
_SEND_S: Final = 15.0

#: Header with the adjustments of the conversation; docs/protocol.md lists them.
ADJUSTMENTS: Final = "Inglenook-Adjustments"

_PLAIN: Final = "text/plain; charset=utf-8"

#: Finish reasons of a whole answer: the model's own end, or `max_tokens`.
_WHOLE: Final = ("stop", "length")

#: Fields handed on as those of a chat body.
_AS_IN_CHAT: Final = (
    *("repetition_detection", "thinking", "enable_thinking", "reasoning_effort"),
    "chat_template_kwargs",
)


@dataclass(frozen=True, slots=True)
class _Question:
    """A body, parsed.

    Attributes:
        request: What it asks.
        timeout_s: How long the client waits.
        stream: The client wants the answer's text alone, while it is written.
    """

    request: ChatRequest
    timeout_s: float
    stream: bool


async def inference(request: web.Request) -> web.StreamResponse:
    """Send the whole answer at its end, or stream it if the request says so."""
    device = need_scope(request, Scope.CHAT)
    asked = _read(await read_json(request), request.headers.get("Accept", ""))
    chat = request.app[CHAT]
    response = chat.submit(device, asked.request)
    try:
        with ResponseWatch(response, request.app[WAITERS]) as watch:
            until = asyncio.get_running_loop().time() + asked.timeout_s
            if asked.stream:
                return await _stream(request, watch, until)
            in_time = await watch.over(until)
            if not in_time:
                _raise_if_not_begun(response)
                chat.dispatcher.cancel(response)
                await watch.over(asyncio.get_running_loop().time() + _END_S)
            result = _result(response, in_time=in_time)
            return web.json_response(result, headers=_adjustments(response))
    finally:
        # If the client hung up, the answer is never read; else it has ended anyway.
        chat.dispatcher.cancel(response)


def _read(body: Any, accept: str) -> _Question:
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
    return _Question(
        parse_chat_request(chat),
        float(timeout_s),
        "text/plain" in accept if stream is None else stream,
    )


def _raise_if_not_begun(response: Response) -> None:
    """A client whose time is over before any text gets an error, not an empty answer."""
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
    """Why an answer that did not fail has ended."""
    if response.outcome is not None and response.outcome.finish_reason is not None:
        return response.outcome.finish_reason
    if in_time:
        # No other client knows its id, so only a revocation cancels it.
        raise Problem(Code.REVOKED, "This device is no longer paired with the box.")
    return "timeout"


def _adjustments(response: Response) -> dict[str, str]:
    """The header with the conversation's adjustments, if there are any."""
    names = ", ".join(response.adjustments)
    return {ADJUSTMENTS: names} if names else {}


async def _stream(request: web.Request, watch: ResponseWatch, until: float) -> web.StreamResponse:
    """Send the answer's text while it is written.

    A stream has no place for a finish reason. So a text that is no whole answer is broken off: its
    last chunk is never sent, which every client reports (curl exits with 18).
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


async def _texts(watch: ResponseWatch, until: float) -> AsyncIterator[str]:
    """Yield the answer's text until its end, or until a moment on the loop's clock."""
    cursor = ResponseCursor(watch.response)
    more = True
    while more:
        # A response may end without having been opened: its device was revoked at once.
        over = watch.response.status.over
        for event in cursor.take(TEXT_BYTES_MAX):
            if isinstance(event, TextPiece) and event.channel is Channel.ANSWER:
                yield event.text
        more = not (over or cursor.over) and await watch.news(until)


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
