"""Whoever wants to talk to a box first asks who it is."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inglenook.discovery.box import BoxHello
from inglenook.discovery.hello import who_answers
from tests.parts.box import Box, free_port

ANSWER_S = 10.0


async def test_a_box_says_who_it_is(box: Box) -> None:
    """To anybody."""
    hello = await who_answers(box.url, ANSWER_S)

    assert hello is not None
    assert hello.run_id is not None
    server_id = (box.state_dir / "server_id").read_text().strip()
    assert hello == BoxHello(server_id, "Kitchen", run_id=hello.run_id)


@pytest.mark.parametrize("run_id", [None, "", "none", "0123456789", "\x1b[2J"])
async def test_a_box_need_not_say_which_process_it_is(run_id: str | None) -> None:
    """One of an older version does not; and what makes no sense counts as not said."""
    said = {"server_id": "ab12cd34", "name": "Kitchen", "run_id": run_id}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({key: value for key, value in said.items() if value is not None})

    app = web.Application()
    app.router.add_get("/.well-known/inglenook", answer)
    async with TestServer(app) as server:
        hello = await who_answers(str(server.make_url("")).rstrip("/"), ANSWER_S)

    assert hello == BoxHello("ab12cd34", "Kitchen")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}", "http://[::zz]:{}", "nonsense", "http://fe80::1%eth0:{}", ""]
)
async def test_where_nobody_is_nobody_answers(url: str) -> None:
    """Nor at what is no address."""
    assert await who_answers(url.format(free_port()), ANSWER_S) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"hello", b"[]", b'{"server_id": 5, "name": "x"}', b"\xff"),
        pytest.param(b'{"more": ' + b"[" * 60_000, id="nested"),
    ],
)
async def test_something_else_is_no_box(body: bytes) -> None:
    """Such as a printer."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/.well-known/inglenook", answer)
    async with TestServer(app) as server:
        assert await who_answers(str(server.make_url("")), ANSWER_S) is None
