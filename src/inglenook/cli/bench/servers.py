"""Servers to measure: a box over its WebSocket, or any server of OpenAI's protocol."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import aiohttp

from inglenook.client.answer import FollowedAnswer
from inglenook.client.connection import authenticate, connect_to_box, problem
from inglenook.client.route import Route
from inglenook.common.errors import StartupError

#: An OpenAI chat body.
Body = dict[str, Any]


class Server(Protocol):
    """A server that answers chat requests."""

    def ask(self, body: Body) -> AsyncGenerator[int | None, None]:
        """Yield None for every piece of text, and at its end the answer's number of tokens.

        A server that does not know the number leaves it out.

        Closing the iterator cancels the answer.
        """


class BoxServer:
    """A box, over its WebSocket."""

    def __init__(self, route: Route, token: str) -> None:
        self._route = route
        self._token = token

    async def ask(self, body: Body) -> AsyncGenerator[int | None, None]:
        """Stream one answer, as `Server.ask` describes."""
        answer = FollowedAnswer(
            request={**body, "ignore_eos": True}, idempotency_key=secrets.token_hex(16)
        )
        async with connect_to_box(self._route) as socket:
            await authenticate(socket, self._route, self._token, "inglenook bench")
            await socket.send(json.dumps(answer.first_message()))
            try:
                while answer.done is None:
                    message = json.loads(await socket.recv())
                    _raise_refusal(message)
                    answer.take(message)
                    if message["type"] == "response.delta":
                        yield None
                yield answer.done["usage"]["completion_tokens"]
            finally:
                # Else the box would go on generating for a while, for a client that resumes.
                answer.cancelled = answer.done is None
                if (cancel := answer.cancel_message()) is not None:
                    await socket.send(json.dumps(cancel))


def _raise_refusal(message: dict[str, Any]) -> None:
    fault = message if message["type"] == "error" else message.get("error")
    if fault is not None:
        raise problem(fault)


class OpenAiServer:
    """A server that speaks OpenAI's protocol over HTTP."""

    def __init__(self, route: Route, token: str | None, session: aiohttp.ClientSession) -> None:
        self._url = route.url if route.url.endswith("/v1") else f"{route.url}/v1"
        # A redirection could lead the key to another server.
        self._options: dict[str, Any] = {"allow_redirects": False}
        if route.tls is not None:
            self._options["ssl"] = route.tls
        self._options["headers"] = {"Authorization": f"Bearer {token}"} if token else {}
        self._session = session
        self._model: str | None = None

    async def ask(self, body: Body) -> AsyncGenerator[int | None, None]:
        """Stream one answer, as `Server.ask` describes."""
        if self._model is None:
            self._model = await self._first_model()
        options = {"stream": True, "stream_options": {"include_usage": True}, "model": self._model}
        url = f"{self._url}/chat/completions"
        async with self._session.post(url, json=body | options, **self._options) as reply:
            if reply.status != 200:
                body_text = (await reply.text())[:200]
                raise StartupError(f"{url} answers with status {reply.status}: {body_text}")
            async for line in reply.content:
                data = line.removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                event = json.loads(data)
                if any(_text(choice) for choice in event.get("choices", ())):
                    yield None
                if event.get("usage"):
                    yield event["usage"]["completion_tokens"]

    async def _first_model(self) -> str:
        async with self._session.get(f"{self._url}/models", **self._options) as reply:
            try:
                return str((await reply.json())["data"][0]["id"])
            except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError, IndexError) as exc:
                text = f"neither a box nor a server of OpenAI's protocol answers at {self._url}"
                raise StartupError(text) from exc


def _text(choice: dict[str, Any]) -> str:
    delta = choice.get("delta") or {}
    return delta.get("content") or delta.get("reasoning_content") or ""
