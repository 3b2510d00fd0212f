"""A client of the WebSocket protocol that resumes after a lost connection. Kind: hands."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from inglenook import __version__
from inglenook.client.answer import FollowedAnswer
from inglenook.client.route import Route, refused
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.protocol.codec import FRAME_BYTES_MAX
from inglenook.protocol.messages import SUBPROTOCOL
from inglenook.protocol.session import CloseCode

_HANDSHAKE_S = 15.0

#: Waits between attempts to reconnect, seconds; then the client gives up.
_BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

#: A reachable box takes part in closing at once.
_CLOSE_S = 2.0

_LOST = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError)


class NoRedirectConnect(connect):
    """A connection that does not follow redirections."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the error, so that no redirection is followed."""
        return exc


def connect_to_box(route: Route) -> NoRedirectConnect:
    """Open a box's WebSocket, by ``async with`` or ``await``; `authenticate` sends the token."""
    return NoRedirectConnect(
        route.websocket_url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        # Boxes are on the home network, not behind the proxy of the environment.
        proxy=None,
        ssl=route.tls,
        open_timeout=_HANDSHAKE_S,
        close_timeout=_CLOSE_S,
    )


class BoxConnection:
    """One device's connection to a box, with one answer at a time."""

    def __init__(self, route: Route, token: str, others: Sequence[Route] = ()) -> None:
        """Take the route to the box, a device's token, and fallback routes."""
        self._routes = [route, *others]
        self._token = token
        self._socket: ClientConnection | None = None
        self._answer = FollowedAnswer()

    async def open(self) -> dict[str, Any]:
        """Connect and authenticate; returns the box's ``auth_ok``.

        Raises:
            Problem: If the box does not know this token.
            StartupError: If no box answers at that address, or it has another TLS key; then it did
                not get the token.
        """
        try:
            return await self._connect()
        except (*_LOST, InvalidURI) as exc:
            raise StartupError(f"no box answers at {self._routes[0].url}") from exc

    async def ask(self, messages: list[dict[str, str]]) -> AsyncIterator[dict[str, Any]]:
        """Send a conversation; yield its ``response.*`` messages, ``response.done`` last.

        Raises:
            Problem: If the box refuses it.
            StartupError: If the connection is lost for good.
        """
        answer = self._answer = FollowedAnswer(
            request={"messages": messages},
            request_id=secrets.token_hex(4),
            idempotency_key=secrets.token_hex(16),
        )
        await self._begin(answer)
        while answer.done is None:
            try:
                assert self._socket is not None
                message = json.loads(await self._socket.recv())
            except ConnectionClosed as exc:
                _raise_if_final(exc)
                await self._resume(answer)
                continue
            if answer.refuses(message):
                raise problem(message)
            if message["type"] == "resume_gone":
                raise StartupError("the box no longer has this answer; please ask again")
            named = bool(answer.response_id)
            answer.take(message)
            if answer.response_id and not named:
                await self._cancel_if_unwanted()
            if message["type"].startswith("response."):
                yield message

    async def prepare(self, messages: list[dict[str, str]]) -> None:
        """Ask the box to prefill the beginning of the next question, which it may ignore.

        The next `ask` skips its reply.
        """
        ahead = {
            "type": "prepare",
            "id": secrets.token_hex(4),
            "request": {"messages": messages},
        }
        try:
            await self._send(ahead)
        except (ConnectionClosed, Problem):
            # The next question reports a lost connection, or a conversation that is too long.
            return

    async def cancel(self) -> None:
        """Cancel the answer as soon as it has an id; its ``response.done`` still arrives."""
        self._answer.cancelled = True
        await self._cancel_if_unwanted()

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()

    async def _connect(self) -> dict[str, Any]:
        failures: list[Exception] = []
        for route in self._routes:
            try:
                answer = await self._connect_by(route)
            except (*_LOST, StartupError) as exc:
                failures.append(exc)
                continue
            self._routes = [route, *(other for other in self._routes if other is not route)]
            return answer
        # That of the last good route.
        raise failures[0]

    async def _connect_by(self, route: Route) -> dict[str, Any]:
        try:
            socket = await connect_to_box(route)
        except ssl.SSLCertVerificationError as exc:
            raise refused(route, exc) from exc
        try:
            answer = await authenticate(socket, route, self._token, "inglenook chat")
        except BaseException:
            await socket.close()
            raise
        # Not before: nothing else may be sent until the box has accepted the token.
        self._socket = socket
        return answer

    async def _resume(self, answer: FollowedAnswer) -> None:
        for delay_s in _BACKOFF_S:
            await asyncio.sleep(delay_s)
            try:
                await self._connect()
                await self._send(answer.first_message())
                await self._cancel_if_unwanted()
            except _LOST:
                continue
            return
        raise StartupError("the connection was lost, and the box does not answer again; is it on?")

    async def _cancel_if_unwanted(self) -> None:
        message = self._answer.cancel_message()
        if message is not None and self._socket is not None:
            try:
                await self._send(message)
            except ConnectionClosed:
                # Sent again once connected.
                return

    async def _begin(self, answer: FollowedAnswer) -> None:
        try:
            await self._send(answer.first_message())
        except ConnectionClosed as exc:
            _raise_if_final(exc)
            await self._resume(answer)

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(_frame(message), text=True)


async def authenticate(
    socket: ClientConnection, route: Route, token: str, client: str
) -> dict[str, Any]:
    """Send the token on a new connection; returns the box's ``auth_ok``.

    Raises:
        Problem: If the box does not know the token.
        StartupError: If what answers at ``route`` is no box.
    """
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            await socket.recv()
            named = {"name": client, "version": __version__}
            await socket.send(_frame({"type": "auth", "token": token, "client": named}), text=True)
            answer: dict[str, Any] = json.loads(await socket.recv())
        if answer["type"] != "auth_ok":
            raise problem(answer)
    except ConnectionClosed as exc:
        if exc.rcvd is not None and exc.rcvd.code == CloseCode.NOT_AUTHORISED:
            raise Problem(Code.NOT_PAIRED, "The box does not know this token.") from exc
        raise
    except (ValueError, KeyError, TypeError) as exc:
        raise StartupError(f"what answers at {route.url} speaks another protocol") from exc
    return answer


def problem(message: dict[str, Any]) -> Problem:
    """The box's error; codes of a newer box that are unknown here become `Code.INTERNAL`."""
    try:
        code = Code(message["code"])
    except ValueError:
        code = Code.INTERNAL
    return Problem(code, str(message["message"]))


def _frame(message: dict[str, Any]) -> bytes:
    # "replace": an argument that is not UTF-8 has characters which cannot be encoded.
    frame = json.dumps(message, ensure_ascii=False).encode(errors="replace")
    if len(frame) > FRAME_BYTES_MAX:
        text = "This is too long to send; shorten it."
        raise Problem(Code.CONTEXT_TOO_LONG, text)
    return frame


def _raise_if_final(exc: ConnectionClosed) -> None:
    """Raise if the box's close code says that reconnecting is useless."""
    if exc.rcvd is None or exc.rcvd.code < CloseCode.BAD_MESSAGE:
        return
    if exc.rcvd.code == CloseCode.NOT_AUTHORISED:
        raise Problem(Code.REVOKED, "This device is no longer paired with the box.") from exc
    raise StartupError(f"the box hung up: {exc.rcvd.reason or exc.rcvd.code}") from exc
