"""``inglenook bench``: the speed of a box, or of any server of OpenAI's protocol."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import secrets
import ssl
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from inglenook.cli.bench.servers import Body, BoxServer, OpenAiServer, Server
from inglenook.cli.connect import BoxChoice, box_choice, token_for
from inglenook.cli.terminal.output import note
from inglenook.cli.terminal.table import print_table
from inglenook.cli.terminal.terminal import read_secret
from inglenook.client.route import Route, parse_url, refused, route_to_box, route_to_server
from inglenook.client.tokens import TokenStore
from inglenook.common.errors import StartupError
from inglenook.discovery.hello import who_answers

#: Limit of one answer, seconds; a board prefills some 50 tokens a second.
_ANSWER_S = 300.0
_ASK_S = 10.0

#: The long text; its words are one token each in most vocabularies.
_LONG_TOKENS = 1000
_WORDS = ("time", "water", "house", "river", "winter", "light", "table", "music", "friend", "stone")

#: Pieces of the measured answer before the long text is sent.
_PIECES_BEFORE = 16

#: A longer answer than any server generates during that prefill; the rest is cancelled.
_READER_TOKENS = 4096

_GONE = (OSError, TimeoutError, WebSocketException, aiohttp.ClientError)


@dataclass
class StreamTiming:
    """The timing of one streamed answer.

    Attributes:
        pieces_s: When each piece of text arrived.
        tokens: The number of tokens by the server; if it gives none, and before the end, the
            number of pieces.
    """

    asked_s: float = 0.0
    pieces_s: list[float] = field(default_factory=list)
    tokens: int = 0

    @property
    def ttft_s(self) -> float:
        """Time to the first text, seconds."""
        return self.pieces_s[0] - self.asked_s

    @property
    def decode_tok_s(self) -> float:
        """Speed of the rest, tokens a second."""
        return (self.tokens - 1) / (self.pieces_s[-1] - self.pieces_s[0])

    def gaps_s(self, after_s: float, until_s: float) -> list[float]:
        """The gaps between pieces that ended between two moments, seconds."""
        ends = pairwise(self.pieces_s)
        return [end - begin for begin, end in ends if after_s < end <= until_s]


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """The server to measure.

    Attributes:
        is_box: It is a box, not another server of OpenAI's protocol.
    """

    route: Route
    token: str | None
    is_box: bool

    def server(self, session: aiohttp.ClientSession) -> Server:
        """Make the client for it."""
        if self.is_box:
            return BoxServer(self.route, self.token or "")
        return OpenAiServer(self.route, self.token, session)


def bench(args: argparse.Namespace) -> None:
    """Measure, and print a table."""
    wish = box_choice(args, read_secret(args.token, "Token"))
    url = parse_url(args.url or f"http://127.0.0.1:{wish.config.listen.port}")
    choice = choose_server(url, wish)
    try:
        rows = asyncio.run(_bench(choice, args))
    except (ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError) as exc:
        raise refused(choice.route, exc) from exc
    except _GONE as exc:
        raise StartupError(f"no server answers at {url}, or no longer ({exc})") from exc
    print_table(("what", "value"), rows)


def choose_server(url: str, wish: BoxChoice) -> BenchTarget:
    """Find out which server answers, and the route on which a token may be sent to it.

    Raises:
        StartupError: If there is no token for that box, or no safe route.
    """
    box = asyncio.run(who_answers(url, _ASK_S))
    if box is None:
        # Without a secret any route will do.
        insecure = wish.insecure or (wish.token is None and not url.startswith("https:"))
        return BenchTarget(route_to_server(url, insecure=insecure), wish.token, is_box=False)
    key = token_for(wish, url, box, TokenStore(os.environ))
    if key is None:
        text = "this terminal is not paired with that box; run `inglenook chat` once"
        raise StartupError(f"{text}, or give a token in INGLENOOK_TOKEN or with --token -")
    route = route_to_box(url, box, key.spki_sha256, insecure=wish.insecure)
    return BenchTarget(route, key.token, is_box=True)


async def _bench(choice: BenchTarget, args: argparse.Namespace) -> list[tuple[str, str]]:
    # No total limit: each answer has its own.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_ASK_S)
    # llama.cpp's server closes after each answer, even if it announced keep-alive.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        server = choice.server(session)
        # A warm-up, not measured.
        await _receive(server, _story(8))
        _say("one stream")
        one = await _measure(server, _story(args.tokens))
        rows = [
            ("first text", f"{one.ttft_s:.2f} s"),
            ("one stream", f"{one.decode_tok_s:.1f} tokens/s"),
        ]
        if args.streams > 1:
            _say(f"{args.streams} streams")
            many = await _together(
                _measure(server, _story(args.tokens)) for _ in range(args.streams)
            )
            together = sum(timing.decode_tok_s for timing in many)
            rows.append((f"{args.streams} streams", f"{together:.1f} tokens/s together"))
        _say("one stream while a long text is read")
        return rows + await _stall(server)


async def _measure(
    server: Server, body: Body, enough: Callable[[StreamTiming], bool] = lambda _timing: False
) -> StreamTiming:
    """Time an answer until its end, or until ``enough``; check that it can be measured."""
    timing = await _receive(server, body, enough)
    if len(timing.pieces_s) < min(body["max_tokens"], 2):
        raise StartupError("an answer did not come bit by bit; nothing can be measured of that")
    return timing


async def _receive(
    server: Server, body: Body, enough: Callable[[StreamTiming], bool] = lambda _timing: False
) -> StreamTiming:
    loop = asyncio.get_running_loop()
    timing = StreamTiming(loop.time())
    known = 0
    async with asyncio.timeout(_ANSWER_S), contextlib.aclosing(server.ask(body)) as answer:
        async for tokens in answer:
            if tokens is None:
                timing.pieces_s.append(loop.time())
            else:
                known = tokens
            if enough(timing):
                break
    timing.tokens = known or len(timing.pieces_s)
    return timing


async def _together(
    measurements: Iterable[Coroutine[Any, Any, StreamTiming]],
) -> list[StreamTiming]:
    """Time several answers at once; the first failure cancels all."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(measurement, name="answer") for measurement in measurements
            ]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [task.result() for task in running]


async def _stall(server: Server) -> list[tuple[str, str]]:
    """Time the gaps of a stream while a long text is prefilled beside it."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()
    long_text_s = math.inf

    def enough(timing: StreamTiming) -> bool:
        if len(timing.pieces_s) >= _PIECES_BEFORE:
            begun.set()
        # The gap around the long text has to end.
        return timing.pieces_s[-1:] > [long_text_s]

    async def send_long_text() -> StreamTiming:
        nonlocal long_text_s
        async with asyncio.timeout(_ANSWER_S):
            await begun.wait()
        timing = await _measure(server, _body(_long_text(), 1))
        long_text_s = loop.time()
        return timing

    async def read() -> StreamTiming:
        timing = await _measure(server, _story(_READER_TOKENS), enough)
        begun.set()
        return timing

    reader, second = await _together([read(), send_long_text()])
    usual_s = reader.gaps_s(0, second.asked_s)
    gaps_s = reader.gaps_s(second.asked_s, math.inf)
    if not gaps_s:
        raise StartupError("the answer ended before the long text was sent; try again")
    return [
        ("usual gap", f"{median(usual_s) * 1000:.0f} ms"),
        ("longest gap while a long text is read", f"{max(gaps_s) * 1000:.0f} ms"),
        ("that text's first answer", f"{second.ttft_s:.2f} s"),
    ]


def _story(tokens: int) -> Body:
    return _body("Write a very long story about a fireplace.", tokens)


def _long_text() -> str:
    """A text that is in no server's cache."""
    return " ".join(secrets.choice(_WORDS) for _ in range(_LONG_TOKENS))


def _body(text: str, tokens: int) -> Body:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": tokens}


def _say(what: str) -> None:
    note(f"measuring: {what}")
