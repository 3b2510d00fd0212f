"""`inglenook bench` measures a box, or a server of OpenAI's protocol, or says why it cannot."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from inglenook.cli.bench import bench as bench_module
from inglenook.cli.bench.bench import BenchTarget, StreamTiming, _bench
from inglenook.client.route import Route
from inglenook.common.errors import StartupError
from tests.cli.conftest import Inglenook
from tests.parts.box import Box, free_port

MEASURED = [
    "first text",
    "one stream",
    "2 streams",
    "usual gap",
    "longest gap while a long text is read",
    "that text's first answer",
]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text is read, and soon; how long it is is not what is tested here.

    Whoever is interrupted by it writes on as long as ever: it must not come too late.
    """
    monkeypatch.setattr(bench_module, "_LONG_TOKENS", 40)
    monkeypatch.setattr(bench_module, "_PIECES_BEFORE", 2)


class OpenAIServer:
    """Answers like one, a piece every millisecond."""

    def __init__(self, *, usage: bool = True, pieces: int = 1000) -> None:
        self.asked: list[dict[str, object]] = []
        self._usage = usage
        self._pieces = pieces

    async def models(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "tiny"}]})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        reply = web.StreamResponse()
        await reply.prepare(request)
        tokens = min(body["max_tokens"], self._pieces)
        for _ in range(tokens):
            await self._send(reply, {"choices": [{"delta": {"content": " word"}}]})
            await asyncio.sleep(0.001)
        if self._usage:
            await self._send(reply, {"choices": [], "usage": {"completion_tokens": tokens}})
        await reply.write(b"data: [DONE]\n\n")
        return reply

    async def _send(self, reply: web.StreamResponse, event: object) -> None:
        await reply.write(f"data: {json.dumps(event)}\n\n".encode())


@asynccontextmanager
async def serving(server: OpenAIServer) -> AsyncIterator[str]:
    """Run it until the end of the block."""
    app = web.Application()
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/chat/completions", server.complete)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def arguments(**changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{"token": None, "streams": 2, "tokens": 8, **changes})


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_a_box_is_measured_over_its_websocket(inglenook: Inglenook, box: Box, token: str) -> None:
    """Speed, first text and stall; progress goes to stderr, so that a pipe gets figures alone."""
    # A box sends ten pieces a second at most: few tokens are one of them on a fast machine.
    options = ("--token", token, "--streams", "2", "--tokens", "96")
    ran = inglenook("bench", "--url", box.url, *options)

    assert ran.returncode == 0, ran.err
    rows = dict(line.split("\t") for line in ran.out.splitlines())
    assert list(rows) == MEASURED
    assert float(rows["one stream"].removesuffix(" tokens/s")) > 0
    assert "measuring: 2 streams" in ran.err


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("usage", [True, False])
async def test_a_server_of_openais_protocol_is_measured(usage: bool) -> None:
    """Whether or not it counts tokens; it is asked for the first model it has."""
    server = OpenAIServer(usage=usage)
    async with serving(server) as url:
        rows = await _bench(BenchTarget(Route(url), None, is_box=False), arguments())

    assert [what for what, _ in rows] == MEASURED
    # Eight pieces have seven pauses between them.
    assert 0 < float(dict(rows)["one stream"].removesuffix(" tokens/s")) <= 1000 * 8 / 7
    assert {body["model"] for body in server.asked} == {"tiny"}
    # OpenAI's own server refuses what it does not know.
    assert not any("ignore_eos" in body for body in server.asked)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [(1, "did not come bit by bit"), (4, "ended before the long text was sent")],
)
async def test_answers_too_short_to_measure_are_a_sentence(pieces: int, words: str) -> None:
    """Rather than a division by zero."""
    async with serving(OpenAIServer(pieces=pieces)) as url:
        with pytest.raises(StartupError, match=words):
            await _bench(BenchTarget(Route(url), None, is_box=False), arguments())


def test_speed_is_counted_from_the_first_text_on() -> None:
    """Reading the prompt is another matter, which the first text tells."""
    heard = StreamTiming(asked_s=10.0, pieces_s=[12.0, 12.5, 14.0], tokens=9)

    assert heard.ttft_s == 2.0
    assert heard.decode_tok_s == 4.0
    assert heard.gaps_s(12.5, 20.0) == [1.5]


def test_a_box_that_does_not_know_this_terminal_is_a_sentence(
    inglenook: Inglenook, box: Box
) -> None:
    """It says how to get in."""
    ran = inglenook("bench", "--url", box.url)

    assert (ran.returncode, ran.out) == (1, "")
    assert "not paired" in ran.err
    assert "--token" in ran.err


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{free}", "nonsense.invalid", "http://", "ftp://x"]
)
def test_an_address_where_nobody_answers_is_a_sentence(inglenook: Inglenook, url: str) -> None:
    """Exit code 1, and the address is named."""
    ran = inglenook("bench", "--url", url.format(free=free_port()))

    assert (ran.returncode, ran.out) == (1, "")
    assert url.partition("{")[0].rstrip("/") in ran.err
    assert "Traceback" not in ran.err


def test_something_else_that_answers_is_a_sentence(inglenook: Inglenook, box: Box) -> None:
    """A web server is no model."""
    ran = inglenook("bench", "--url", f"{box.url}/elsewhere")

    assert (ran.returncode, ran.out) == (1, "")
    assert "neither a box nor a server of OpenAI's protocol" in ran.err


@pytest.mark.parametrize(
    ("option", "least", "count"),
    [
        *(("--streams", 1, count) for count in ("0", "-3", "many", "5000")),
        *(("--tokens", 2, count) for count in ("1", "0", "-3", "many", "5000")),
    ],
)
def test_counts_that_make_no_sense_are_wrong_usage(
    inglenook: Inglenook, option: str, least: int, count: str
) -> None:
    """Exit code 2, and the bounds that its help says."""
    ran = inglenook("bench", option, count)

    assert ran.returncode == 2
    assert f", {least} to 1024 (" in " ".join(inglenook("bench", "--help").out.split())
    assert f"must be {least} to 1024" in ran.err or "expected one argument" in ran.err
