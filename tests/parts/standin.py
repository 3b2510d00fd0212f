"""Something that answers like a box, says what a test wants, and notes everything it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from inglenook.auth.certify import certify
from tests.parts.box import Terminal, free_port, terminal

START_S = 20.0
PATIENCE_S = 30.0

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

#: Sends the messages of one answer; gets the `generate`, and what sends a message.
Speech = Callable[[Message, Send], Coroutine[Any, Any, None]]


class StandIn:
    """Speaks the protocol as far as a client needs it. `stand_in` runs it.

    Attributes:
        heard: Every request's line, headers and body, and every frame, in clear.
        asked: The conversations that were asked.
        pairs_with: What ``/pair`` answers, if not as a box does.
        redirects_to: Where ``/ws`` sends whoever comes, if anywhere.
    """

    def __init__(self, server_id: str, folder: Path, port: int, tls_port: int) -> None:
        self.server_id = server_id
        self.port, self.tls_port = port, tls_port
        self.url = f"http://127.0.0.1:{port}"
        self.heard: list[str] = []
        self.asked: list[list[dict[str, str]]] = []
        self.pairs_with: object = None
        self.redirects_to = ""
        self.speech: Speech = answering("Yes.")
        self.token = "ingle_of_the_stand_in"
        now = datetime.now(UTC).timestamp()
        certificate = certify(folder, ["localhost"], [], now)
        self.spki_sha256 = certificate.spki_sha256
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate.cert_path, certificate.key_path)

    def told(self, secret: str) -> bool:
        """Whether this has come here, in whatever way."""
        return any(secret in text for text in self.heard)

    async def serve(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Answer on both ports until told to stop."""
        app = web.Application(middlewares=[self._note])
        app.router.add_get("/.well-known/inglenook", self._hello)
        app.router.add_post("/pair", self._pair)
        app.router.add_get("/ws", self._ws)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            if self.tls_port:
                site = web.TCPSite(runner, "127.0.0.1", self.tls_port, ssl_context=self.tls)
                await site.start()
            ready()
            await stop.wait()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _note(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        said = f"{request.method} {request.path_qs} {dict(request.headers)}"
        self.heard.append(f"{said} {await request.text()}")
        return await handler(request)

    async def _hello(self, _request: web.Request) -> web.Response:
        tls = {"ports": {"http": self.port, "tls": self.tls_port}}
        key = {"spki_sha256": self.spki_sha256 if self.tls_port else None}
        return web.json_response({"server_id": self.server_id, "name": "Kitchen", **tls, **key})

    async def _pair(self, _request: web.Request) -> web.Response:
        said = {"token": self.token, "server_id": self.server_id, "spki_sha256": self.spki_sha256}
        usual = {**said, "mac": [], "urls": []}
        return web.json_response(usual if self.pairs_with is None else self.pairs_with)

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.redirects_to:
            raise web.HTTPTemporaryRedirect(self.redirects_to)
        socket = web.WebSocketResponse(protocols=["inglenook.v1"])
        await socket.prepare(request)
        await socket.send_json({"type": "auth_required", "v": 1, "server_id": self.server_id})
        async with asyncio.TaskGroup() as tasks:
            await self._converse(socket, tasks)
        return socket

    async def _converse(self, socket: web.WebSocketResponse, tasks: asyncio.TaskGroup) -> None:
        async for frame in socket:
            self.heard.append(frame.data)
            message = json.loads(frame.data)
            if message["type"] == "auth":
                await socket.send_json({"type": "auth_ok", "state": {"model": "stand-in"}})
            elif message["type"] == "generate":
                self.asked.append(message["request"]["messages"])
                tasks.create_task(self.speech(message, socket.send_json), name="answer")


def answering(
    text: str, status: str = "completed", channel: str = "answer", code: str | None = None
) -> Speech:
    """Answers so, with an error if a code is given."""

    async def speech(asked: Message, send: Send) -> None:
        known = {"response_id": "r"}
        await send({"type": "response.created", "id": asked["id"], **known})
        delta = {"type": "response.delta", "seq": 1, "offset": 0, "channel": channel, "text": text}
        if text:
            await send({**delta, **known})
        error = None if code is None else {"code": code, "message": f"It is {code}."}
        await send({"type": "response.done", "seq": 2, "status": status, "error": error, **known})

    return speech


@contextmanager
def stand_in(
    server_id: str, folder: Path, *, port: int | None = None, tls_port: int | None = None
) -> Iterator[StandIn]:
    """Run one in a thread of its own until the end of the block; TLS port 0 is none."""
    folder.mkdir(parents=True, exist_ok=True)
    tls = free_port() if tls_port is None else tls_port
    standing = StandIn(server_id, folder, port or free_port(), tls)
    ready = threading.Event()
    ended: list[Callable[[], object]] = []

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ended.append(lambda: loop.call_soon_threadsafe(stop.set))
        await standing.serve(ready.set, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="stand-in")
    thread.start()
    try:
        assert ready.wait(START_S), "the stand-in never answered"
        yield standing
    finally:
        ended[0]()
        thread.join(START_S)


def held_back(text: str, begun: threading.Event, stopped: threading.Event) -> Speech:
    """Begins an answer, and ends it as cancelled when told; other messages are heard meanwhile."""

    async def speech(asked: Message, send: Send) -> None:
        known = {"response_id": "r"}
        await send({"type": "response.created", "id": asked["id"], **known})
        delta = {"type": "response.delta", "seq": 1, "offset": 0, "channel": "answer", "text": text}
        await send({**delta, **known})
        begun.set()
        await asyncio.to_thread(stopped.wait, PATIENCE_S)
        await send(
            {"type": "response.done", "seq": 2, "status": "cancelled", "error": None, **known}
        )

    return speech


def talking(
    box: StandIn, tmp_path: Path, *, columns: int | None = None
) -> AbstractContextManager[Terminal]:
    """A person at a terminal, of so many columns, who has been let in."""
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "token"}
    return terminal(["chat", "--url", box.url], environ, columns=columns)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
