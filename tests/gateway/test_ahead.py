"""What a phone hears of what is read ahead for it, over real sockets; the engine is a fake."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket

import pytest
from websockets.exceptions import ConnectionClosed

from inglenook.common.errors import Code, Problem
from inglenook.engine.orders import Thinking
from inglenook.gateway.ws import phone_socket
from inglenook.serving.limits import ServingLimits
from tests.fakes.engine import PROMPT_TOKENS
from tests.gateway.conftest import SOON_S, Home, eventually
from tests.parts.phone import Phone, connected


async def test_a_phone_hears_how_much_of_its_prompt_is_ready(home: Home) -> None:
    """Under its own id, once it is over."""
    async with connected(home.url, home.token) as phone:
        ahead = await phone.prepare("Why is the")
        await eventually(lambda: home.jobs)
        home.engine.have_read(home.jobs[0], tokens=9)
        await phone.finish(ahead)

    assert ahead.prepared == {
        "type": "prepared",
        "id": ahead.request_id,
        "prompt_tokens": PROMPT_TOKENS,
        "cached_tokens": 9,
    }


async def test_the_older_is_over_when_a_newer_comes(home: Home) -> None:
    """With what the engine had read of it until then."""
    async with connected(home.url, home.token) as phone:
        older = await phone.prepare("Why")
        await eventually(lambda: home.jobs)
        newer = await phone.prepare("Why is")
        await eventually(lambda: home.engine.cancels)
        home.engine.step()
        await eventually(lambda: home.jobs)
        home.engine.have_read(home.jobs[0])
        await phone.finish(older, newer)

    assert older.prepared is not None
    assert newer.prepared is not None
    assert 0 < older.prepared["cached_tokens"] < newer.prepared["cached_tokens"]


async def test_a_thousand_prepares_a_second_cost_the_engine_next_to_nothing(home: Home) -> None:
    """Each is answered; the first and the last were read, and another phone noticed nothing."""
    async with (
        connected(home.url, home.token) as fast,
        connected(home.url, home.other_token) as calm,
    ):

        async def send() -> None:
            for number in range(1000):
                await fast.prepare(f"Why {number}")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send(), name="typing")
            answer = await calm.generate("Hi")
            while sum(ahead.over for ahead in fast.ahead.values()) < 998:
                await fast.step()
        assert len(home.engine.prepares) == 1
        assert len(home.engine.cancels) == 1
        home.engine.step()
        await eventually(lambda: home.jobs)
        home.engine.have_read(home.jobs[0])
        await fast.finish(*fast.ahead.values())
        await eventually(lambda: home.engine.running)
        home.engine.step(27)
        await calm.finish(answer)

    assert all(ahead.prepared is not None for ahead in fast.ahead.values())
    assert [prepare.messages[-1].content for prepare in home.engine.prepares] == [
        "Why 0",
        "Why 999",
    ]
    assert answer.text == "abcdefghijklmnopqrstuvwxyz"


async def test_a_phone_that_goes_is_read_for_no_longer(home: Home) -> None:
    """Whatever it had in the engine, and behind that."""
    async with connected(home.url, home.token) as phone:
        await phone.prepare("Why")
        await phone.prepare("Why is")
        await eventually(lambda: home.engine.cancels)
        home.engine.step()
        await eventually(lambda: len(home.jobs) == 1)
    await eventually(lambda: len(home.engine.cancels) == 2)
    home.engine.step()

    assert home.jobs == []


async def test_a_connection_that_goes_leaves_its_devices_other_connection_alone(
    home: Home,
) -> None:
    """A tablet with two pages open."""
    async with connected(home.url, home.token) as stays:
        async with connected(home.url, home.token) as goes:
            older = await goes.prepare("Why")
            await eventually(lambda: home.jobs)
            ahead = await stays.prepare("Who")
            await eventually(lambda: home.engine.cancels)
            home.engine.step()
            await goes.finish(older)
        await stays.send({"type": "ping"})
        await stays.until("pong")
        await eventually(lambda: len(home.jobs) == 1)
        home.engine.have_read(home.jobs[0])
        await stays.finish(ahead)


@pytest.mark.parametrize("second", ["generate", "prepare"])
async def test_an_id_under_way_closes_the_connection(home: Home, second: str) -> None:
    """Be it of a question or of what is read ahead."""
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    async with connected(home.url, home.token) as phone:
        await phone.send({"type": "prepare", "id": "x", "request": request})
        await phone.send({"type": second, "id": "x", "request": request})

        assert await phone.wait_closed() == 4409


async def test_an_id_may_be_used_again_when_it_is_answered(home: Home) -> None:
    """However that was."""
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    async with connected(home.url, home.token) as phone:
        await phone.send({"type": "prepare", "id": "x", "request": {}})
        assert (await phone.until("error"))["id"] == "x"
        await phone.send({"type": "prepare", "id": "x", "request": request})
        await eventually(lambda: home.jobs)
        home.engine.have_read(home.jobs[0])
        assert (await phone.until("prepared"))["id"] == "x"
        await phone.send({"type": "generate", "id": "x", "request": request})
        await phone.until("response.created")


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("no messages", "bad_request"),
        ("no scope", "forbidden"),
        ("heat", "too_hot"),
        ("no template", "bad_request"),
    ],
)
async def test_what_is_not_read_ahead_is_one_error(home: Home, why: str, code: str) -> None:
    """With the id, at once or once the engine has looked at it; the connection goes on."""
    token = home.monitor_token if why == "no scope" else home.token
    if why == "heat":
        hot = Problem(Code.TOO_HOT, "Too hot.", retry_after_s=9.0)
        home.desk.limit(ServingLimits(4, read_ahead=hot))
    async with connected(home.url, token) as phone:
        ahead = await phone.prepare({} if why == "no messages" else "Why")
        if why == "no template":
            await eventually(lambda: home.jobs)
            home.engine.refuse(home.jobs[0])
        await phone.finish(ahead)
        await phone.send({"type": "ping"})
        await phone.until("pong")

    assert ahead.error is not None
    assert ahead.error["code"] == code


async def test_a_phone_that_only_types_and_never_reads_is_sent_away(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not take in would fill the memory."""
    # Or the kernel would take megabytes for us.
    monkeypatch.setattr(phone_socket, "SEND_BYTES_MAX", 2048)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    address = ("127.0.0.1", int(home.url.rstrip("/").rpartition(":")[2]))
    await asyncio.get_running_loop().sock_connect(sock, address)
    options = {"sock": sock, "max_queue": 1, "ping_interval": None}
    async with connected(home.url, home.token, **options) as flood:
        with pytest.raises(ConnectionClosed):
            await type_for_ever(flood)

        # What says so may be lost behind what it did not read.
        assert await flood.wait_closed() in (1013, 1006)


async def type_for_ever(phone: Phone) -> None:
    """Never read; ends by raising when the box has had enough."""
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    async with asyncio.timeout(2 * SOON_S):
        for number in itertools.count():
            frame = {"type": "prepare", "id": f"{number:0128}", "request": request}
            await phone.socket.send(json.dumps(frame))


async def test_what_a_device_wants_of_thinking_goes_with_all_it_sends(home: Home) -> None:
    """With what is read ahead, too: else the answer would not find it."""
    async with connected(home.url, home.other_token) as phone:
        await phone.prepare("Why")
        await eventually(lambda: home.engine.prepares)
        asking = await phone.generate("Why?")
        await eventually(lambda: home.engine.orders)
        home.engine.step(30)
        await phone.finish(asking)

    [prepared], [started] = home.engine.prepares, home.engine.orders
    assert prepared.thinking == started.thinking == Thinking(budget_tokens=512)
