"""What a paired phone asks on a connection, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device, Scope
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import Capabilities
from inglenook.engine.orders import ChatMessage, ChatToolCall
from inglenook.gateway.context import ChatService
from inglenook.gateway.ws.requests import PREFILLS_MAX, READINGS_MAX, PhoneRequests
from inglenook.protocol.messages import Pong, Prepared, ResumeGone, ToPhone
from inglenook.protocol.session import CloseCode, Closing, Session
from inglenook.serving.scheduler import SchedulerLoad
from tests.fakes.engine import FakeEngine
from tests.gateway.conftest import eventually, open_desk

WALL_S = 1.8e9


class Asking:
    """A device that has authenticated, and a dispatcher with four places."""

    def __init__(
        self, chat: ChatService, engine: FakeEngine, allowlist: Allowlist, device: Device
    ) -> None:
        self.chat, self.engine, self.allowlist = chat, engine, allowlist
        self.woken = 0
        session = Session()
        session.authenticated(device.device_id)
        self.requests = PhoneRequests(device, session, chat, allowlist, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def send(self, kind: str, wall_s: float = WALL_S, **fields: Any) -> ToPhone | None:
        frame = json.dumps({"type": kind, **fields})
        return self.requests.handle(frame, now=0.0, wall_s=wall_s)

    def generate(self, request_id: str, text: str = "Why?", **fields: Any) -> None:
        messages = [{"role": "user", "content": text}] if text else []
        self.send("generate", id=request_id, request={"messages": messages, **fields})

    def prepare(self, request_id: str, text: str = "Wh") -> None:
        messages = [{"role": "user", "content": text}] if text else []
        self.send("prepare", id=request_id, request={"messages": messages})


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    allowlist = Allowlist(tmp_path / "devices.json")
    device, _token = await asyncio.to_thread(
        allowlist.add, "Ada", (Scope.CHAT,), WALL_S + 60.0, thinking="512"
    )
    async with open_desk() as (desk, engine):
        asking = Asking(ChatService(desk, lambda: None, 600.0), engine, allowlist, device)
        yield asking
        asking.requests.close(0.0)


async def test_a_request_reaches_the_engine_with_what_its_device_wants(asking: Asking) -> None:
    """As the door has parsed it."""
    asking.generate("c1", max_tokens=7)

    [order] = asking.engine.orders
    assert (order.max_tokens, order.thinking.budget_tokens) == (7, 512)
    [reader] = asking.requests.readers
    assert (reader.request_id, asking.requests.reads(reader)) == ("c1", True)


CALL = {"id": "k1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}


@pytest.mark.parametrize("tools", [True, False])
async def test_calls_of_tools_reach_an_engine_that_takes_them(asking: Asking, tools: bool) -> None:
    """One that does not is never given what it would leave out."""
    asking.engine.capabilities = Capabilities(tools=tools)
    messages = [
        {"role": "user", "content": "How late is it?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "k1", "content": "12:00"},
    ]
    if not tools:
        with pytest.raises(Problem, match="content"):
            asking.send("generate", id="c1", request={"messages": messages})
        return
    asking.send("generate", id="c1", request={"messages": messages})

    assert asking.engine.orders[0].messages == (
        ChatMessage("user", "How late is it?"),
        ChatMessage("assistant", "", (ChatToolCall("k1", "clock", "{}"),)),
        ChatMessage("tool", "12:00", (), "k1"),
    )


@pytest.mark.parametrize("kind", ["generate", "prepare"])
async def test_a_wrong_request_takes_no_place(asking: Asking, kind: str) -> None:
    """It is told what is wrong, and its id may be used again."""
    for _again in range(2):
        with pytest.raises(Problem, match="messages") as problem:
            asking.generate("c1", "") if kind == "generate" else asking.prepare("c1", "")

        assert problem.value.code is Code.BAD_REQUEST
        assert asking.chat.dispatcher.load == SchedulerLoad(0, 0, 4)
        assert (asking.requests.readers, asking.engine.reading) == ([], {})


async def test_a_connection_reads_a_bounded_number_of_responses(asking: Asking) -> None:
    """What is too many is not asked at all."""
    for number in range(READINGS_MAX):
        asking.generate(f"c{number}", max_tokens=1)
        asking.engine.step(2)
    orders = len(asking.engine.orders)
    with pytest.raises(Problem) as problem:
        asking.generate("c-more")

    assert problem.value.code is Code.RATE_LIMITED
    assert len(asking.engine.orders) == orders == READINGS_MAX


async def test_prefills_end_once_each(asking: Asking) -> None:
    """The one that a newer one has replaced, too; then their ids are free."""
    asking.prepare("p1")
    asking.prepare("p2", "Why")
    assert list(asking.requests.ended_prefills()) == []
    asking.engine.step()
    [replaced] = asking.requests.ended_prefills()
    await eventually(lambda: asking.engine.reading)
    [job] = asking.engine.reading
    asking.engine.have_read(job, tokens=9)
    [ended] = asking.requests.ended_prefills()

    assert isinstance(replaced, Prepared)
    assert replaced.id == "p1"
    assert isinstance(ended, Prepared)
    assert (ended.id, ended.cached_tokens) == ("p2", 9)
    assert list(asking.requests.ended_prefills()) == []
    asking.prepare("p1")


async def test_a_phone_that_never_takes_the_ends_of_its_prefills_has_to_go(asking: Asking) -> None:
    for number in range(PREFILLS_MAX):
        asking.prepare(f"p{number}")
    with pytest.raises(Closing) as closing:
        asking.prepare("p-more")

    assert closing.value.code is CloseCode.OVERLOADED


async def test_a_second_look_at_a_response_replaces_the_first(asking: Asking) -> None:
    """The first reads no more, and its id is free; the response goes on."""
    asking.generate("c1")
    [first] = asking.requests.readers
    response = first.response
    assert asking.send("resume", response_id=response.response_id) is None

    [second] = asking.requests.readers
    assert second is not first
    assert not asking.requests.reads(first)
    assert response.unread_since is None
    asking.requests.stop_reading(second, now=5.0)
    assert response.unread_since == 5.0
    asking.generate("c1")


@pytest.mark.parametrize("how", ["resume", "cancel"])
async def test_a_response_that_is_not_there_is_said_to_be_gone(asking: Asking, how: str) -> None:
    if how == "resume":
        assert asking.send("resume", response_id="r_none") == ResumeGone("r_none")
        return
    with pytest.raises(Problem) as problem:
        asking.send("cancel", response_id="r_none")
    assert problem.value.code is Code.UNKNOWN_RESPONSE


async def test_every_message_is_held_against_the_device_as_it_is_now(asking: Asking) -> None:
    """Its time, its scopes, and whether it is paired at all."""
    assert asking.send("ping", t=1) == Pong(1)
    with pytest.raises(Closing, match="expired"):
        asking.send("ping", WALL_S + 60.0)
    device_id = asking.requests.device.device_id
    await asyncio.to_thread(asking.allowlist.revoke, device_id)
    with pytest.raises(Closing, match="revoked"):
        asking.send("ping")


async def test_the_end_of_a_connection_ends_no_response(asking: Asking) -> None:
    """Only what it had prefilled; nobody is about to ask that any more."""
    asking.generate("c1")
    asking.prepare("p1")
    [reader] = asking.requests.readers
    asking.requests.close(now=7.0)

    assert not reader.response.status.over
    assert reader.response.unread_since == 7.0
    assert asking.engine.cancels == list(asking.engine.reading)
