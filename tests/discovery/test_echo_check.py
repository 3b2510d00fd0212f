from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from inglenook.discovery import echo_check as judge_module
from inglenook.discovery.echo_check import EchoCheck
from inglenook.discovery.rivals import Rival

ID, RUN_ID = "ab12cd34", "00000001"

Serve = Callable[..., Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Give what serves an answer on 127.0.0.1, and says at which port."""
    runners: list[web.AppRunner] = []

    async def start(**said: str) -> int:
        async def well_known(_request: web.Request) -> web.Response:
            return web.json_response({"name": "Kitchen", **said})

        app = web.Application()
        app.router.add_get("/.well-known/inglenook", well_known)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (address,) = runner.addresses
        return int(address[1])

    yield start
    for runner in runners:
        await runner.cleanup()


def at(*ports: int, may_be_echo: bool = True) -> Rival:
    return Rival("host", ("127.0.0.1",), ports, may_be_echo=may_be_echo, wins=False)


async def test_another_process_with_this_id_is_real(serve: Serve) -> None:
    """A copied card; one of a version that says no run_id as well."""
    judge = EchoCheck(ID, RUN_ID)
    port = await serve(server_id=ID, run_id="00000002")
    assert await judge.is_real(at(port), "lo", port)
    older = await serve(server_id=ID)
    assert await judge.is_real(at(older), "lo", older)


async def test_where_this_process_answers_nobody_else_does(serve: Serve) -> None:
    """Such as at an address that leads back to it."""
    judge = EchoCheck(ID, RUN_ID)
    port = await serve(server_id=ID, run_id=RUN_ID)
    assert not await judge.is_real(at(port), "lo", port)


async def test_where_another_box_answers_the_record_is_an_echo(serve: Serve) -> None:
    """The router has given it the address that this box had."""
    judge = EchoCheck(ID, RUN_ID)
    port = await serve(server_id="99999999", run_id="00000002")
    assert not await judge.is_real(at(port), "lo", port)


async def test_where_nobody_answers_it_is_an_echo_for_a_while(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is asked again at each repetition; but somebody may come to that address."""
    judge = EchoCheck(ID, RUN_ID)
    port = await serve(server_id="99999999")
    echo = at(port)
    assert judge.may_be_real(echo, port)
    assert not await judge.is_real(echo, "lo", port)
    assert not judge.may_be_real(echo, port)
    assert judge.may_be_real(at(port, port + 1), port)
    monkeypatch.setattr(judge_module, "ECHO_S", 0.0)
    assert not await judge.is_real(echo, "lo", port)
    assert judge.may_be_real(echo, port)


async def test_a_stranger_need_not_answer() -> None:
    """Its name is its own, whether it serves anything or not."""
    judge = EchoCheck(ID, RUN_ID)
    stranger = at(9, may_be_echo=False)
    assert judge.may_be_real(stranger, 9)
    assert await judge.is_real(stranger, "lo", 9)


async def test_a_flood_of_addresses_makes_it_ask_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever claims its id could else have it call the whole world, and remember it."""
    asked: list[str] = []

    async def nobody(url: str, timeout_s: float) -> None:
        asked.append(url)

    monkeypatch.setattr(judge_module, "who_answers", nobody)
    judge = EchoCheck(ID, RUN_ID)
    for number in range(30):
        addresses = tuple(f"10.{number}.0.{last}" for last in range(200))
        flood = Rival("host", addresses, (8377,), may_be_echo=True, wins=False)
        assert not await judge.is_real(flood, "lo", 8377)
        assert not judge.may_be_real(flood, 8377)
    assert len(asked) == 30 * 16 * 2
    assert len(judge._echoes) == 256
