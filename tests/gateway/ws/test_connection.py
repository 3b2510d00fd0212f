"""One phone on one WebSocket: what it may say, and what it hears if it says something else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from inglenook.auth import devicefile, tokens
from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.common.private_files import locked, read_private, write_private
from inglenook.gateway.ws import channel, handshake
from tests.gateway.conftest import SOON_S, Home, eventually
from tests.parts.box import Box
from tests.parts.phone import Answer, Message, Phone, chat, connected, knocking, long_chat
from tests.parts.stopwatch import stopwatch

pytestmark = pytest.mark.usefixtures("unharmed")

HI = {"messages": [{"role": "user", "content": "Hi"}]}


def generate(**fields: Any) -> Message:
    return {"type": "generate", "id": "bad", **fields}


async def test_the_greeting_says_which_box_and_which_version(box: Box, token: str) -> None:
    """A phone knows whom it talks to before it shows its token, and its limits after."""
    async with connected(box.url, token) as phone:
        hello = phone.hello

    assert hello["scopes"] == ["chat"]
    assert hello["resume_ttl_s"] == 600
    assert hello["limits"]["frame_bytes"] == 256 * 1024
    assert hello["limits"]["request_tokens"] > 500
    assert hello["state"]["engine"] == "ready"
    assert phone.socket.subprotocol == "inglenook.v1"


@pytest.mark.parametrize(
    ("frame", "close_code"),
    [
        ("hello", 4400),
        ("[" * 4_000, 4400),
        ("[" * 100_000, 4401),
        ('{"type":"auth","token":"\\ud800"}', 4401),
        ('{"type":"auth","token":1e400}', 4401),
        (b'{"type":"auth","token":"t"}', 4400),
        ('{"type":"generate","id":"c1","request":{}}', 4401),
        ('{"type":"ping"}', 4401),
        ('{"type":"auth"}', 4401),
        ('{"type":"auth","token":5}', 4401),
        ('{"type":"auth","token":""}', 4401),
        ('{"type":"auth","token":"inglenook_00000000_wrong"}', 4401),
        ('{"type":"auth","token":"%s"}' % ("x" * 200_000), 4401),
        ('{"type":"auth","token":"%s"}' % ("x" * 257 * 1024), 4413),
    ],
)
async def test_a_stranger_gets_nothing(box: Box, frame: str | bytes, close_code: int) -> None:
    """Whatever a stranger sends first, the connection ends with the code for it."""
    async with knocking(box.url) as phone:
        await phone.socket.send(frame)

        assert await phone.wait_closed() == close_code

    kinds = [message["type"] for message in phone.others]
    assert kinds == ["auth_required"] + ["auth_invalid"] * (close_code == 4401)


async def test_a_removed_device_hears_that_it_was_removed(box: Box) -> None:
    """Its token is told apart from a stranger's, so that the phone can say what to do."""
    token = box.pair("Removed phone")
    box.revoke("Removed phone", token)
    async with knocking(box.url) as phone:
        answer = await phone.authenticate(token)

        assert (answer["type"], answer["code"]) == ("auth_invalid", "revoked")
        assert await phone.wait_closed() == 4401


async def test_an_expired_token_lets_nobody_in(box: Box) -> None:
    """A guest's pairing ends by itself."""
    token = box.add_device("Guest", "--expires", "1h")
    await asyncio.to_thread(expire, box, token, in_s=0)
    await asyncio.to_thread(wait_expired, box, token)
    async with knocking(box.url) as phone:
        answer = await phone.authenticate(token)

        assert (answer["type"], answer["code"]) == ("auth_invalid", "not_paired")
        assert "expired" in answer["message"]
        assert await phone.wait_closed() == 4401


@pytest.mark.slow
async def test_a_pairing_that_expires_ends_an_open_connection_too(box: Box) -> None:
    """At the next thing it says."""
    token = box.add_device("Guest", "--expires", "1h")
    async with connected(box.url, token) as phone:
        # Not before: it would take luck to be connected by then.
        await asyncio.to_thread(expire, box, token, in_s=1)
        await asyncio.to_thread(wait_expired, box, token)
        await phone.send({"type": "ping"})

        assert await phone.wait_closed() == 4401


def expire(box: Box, token: str, *, in_s: float) -> None:
    """Change when a pairing ends, to the second before that."""
    path = box.state_dir / "devices.json"
    with locked(path, SOON_S):
        roster = devicefile.decode(read_private(path))
        device = roster.get(tokens.parse(token) or "")
        assert device is not None
        guest = replace(device, expires_at=datetime.now(UTC).timestamp() + in_s)
        write_private(path, devicefile.encode(roster.updated(guest)))


def wait_expired(box: Box, token: str) -> None:
    """Wait until a pairing has ended by itself."""
    stranger = lambda: box.http("GET", "/v1/state", token=token).status == 401  # noqa: E731
    box.wait(stranger, "the pairing never expired", SOON_S)


@pytest.mark.slow
async def test_revoking_closes_what_is_open_within_a_second(box: Box) -> None:
    """The running answer ends with it; the neighbour notices nothing."""
    token = box.pair("Lost phone")
    async with connected(box.url, token) as lost, connected(box.url, box.pair("Kept")) as kept:
        await lost.begin(long_chat(400))

        ran = await asyncio.to_thread(box.run, "devices", "revoke", "Lost phone")
        async with stopwatch() as watch:
            assert ran.returncode == 0

            assert await lost.wait_closed() == 4401
            assert watch.elapsed_s() < 1.0
        assert (await kept.ask(long_chat(3))).over


async def test_who_comes_in_and_is_shut_out_between_two_looks_is_closed(box: Box) -> None:
    """The list is looked at twice a second; it is the same before and after."""
    devices = Allowlist(box.state_dir / "devices.json")
    device, token = await asyncio.to_thread(devices.add, "Short visit", [Scope.CHAT])
    async with connected(box.url, token) as visitor:
        await asyncio.to_thread(devices.revoke, device.device_id)

        assert await visitor.wait_closed() == 4401


async def test_patience_has_an_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds to say who one is, fifteen without taking a byte; nothing of either stays."""
    assert (handshake.AUTH_S, channel.SEND_S) == (10, 15)
    monkeypatch.setattr(channel, "SEND_S", 0.6)
    open_before = open_files(os.getpid())

    # For the stranger alone: on a busy machine even those who speak up take longer now and then.
    with monkeypatch.context() as impatient:
        impatient.setattr(handshake, "AUTH_S", 0.4)
        began_at = asyncio.get_running_loop().time()
        async with knocking(home.url) as stranger:
            assert await stranger.wait_closed() == 4408
            assert 0.3 < asyncio.get_running_loop().time() - began_at < 10

    sock = socket.socket()
    # Or the kernel would take megabytes for us.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    sock.connect(("127.0.0.1", int(home.url.rstrip("/").rpartition(":")[2])))
    options = {"sock": sock, "max_queue": 1, "ping_interval": None}
    async with connected(home.url, home.token, **options) as deaf:
        answer = await deaf.generate("Say much.")
        await eventually(lambda: home.engine.running)
        home.engine.step(27)
        await deaf.finish(answer)
        resume = {"type": "resume", "response_id": answer.response_id, "after": 0}
        with pytest.raises(ConnectionClosed):
            await send_for_ever(deaf, resume, every_s=0.0)

    await eventually(lambda: open_files(os.getpid()) <= open_before)


async def send_for_ever(phone: Phone, message: Message, every_s: float) -> None:
    """Send again and again, and never read; ends by raising when the box has had enough."""
    frame = json.dumps(message)
    async with asyncio.timeout(50):
        while True:
            await phone.socket.send(frame)
            await asyncio.sleep(every_s)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize(
    ("frame", "close_code"),
    [
        ("hello", 4400),
        ("", 4400),
        ('{"type":"ping"', 4400),
        ("[" * 100_000 + "]" * 100_000, 4400),
        ('{"type":"ping","t":01}', 4400),
        ('["\\ud83d"]', 4400),
        (b'{"type":"ping"}', 4400),
        ('{"type":"auth","token":"again"}', 4400),
        ('{"type":"ping","t":"%s"}' % ("x" * 257 * 1024), 4413),
        # No more than the kernel takes in one go: whoever still sends when the box hangs up may
        # be told of that before it can read why.
        (json.dumps(generate(request=chat("x" * 1_000_000))), 4413),
    ],
)
async def test_what_breaks_the_protocol_closes_the_connection(
    box: Box, token: str, frame: str | bytes, close_code: int
) -> None:
    """The code says whether it was nonsense or too large."""
    async with connected(box.url, token) as phone:
        with suppress(ConnectionClosed):
            await phone.socket.send(frame)

        assert await phone.wait_closed() == close_code


def message(content: Any) -> Message:
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"type": "generate", "id": "bad"}, "`request`"),
        (generate(request=None), "`$.request`"),
        (generate(request="Hi"), "`$.request`"),
        (generate(request=[]), "`$.request`"),
        (generate(request={}), "'messages'"),
        (generate(request={"messages": None}), "'messages'"),
        (generate(request={"messages": []}), "'messages'"),
        (generate(request={"messages": "Hi"}), "'messages'"),
        (generate(request={"messages": [5]}), "'messages[0]'"),
        (generate(request={"messages": [{}]}), "'messages[0].role'"),
        (generate(request=message("")), "is empty"),
        (generate(request=message("   ")), "is empty"),
        (generate(request=message(None)), "'messages[0].content'"),
        (generate(request=message(5)), "'messages[0].content'"),
        (generate(request=message([{"type": "image_url"}])), "'messages[0].content'"),
        (generate(request={**HI, "max_tokens": -5}), "'max_tokens'"),
        (generate(request={**HI, "max_tokens": 0}), "'max_tokens'"),
        (generate(request={**HI, "max_tokens": "5"}), "'max_tokens'"),
        (generate(request={**HI, "max_tokens": 1.5}), "'max_tokens'"),
        (generate(request={**HI, "max_tokens": 10**300}), "'max_tokens'"),
        (generate(request={**HI, "temperature": "hot"}), "'temperature'"),
        (generate(request={**HI, "temperature": True}), "'temperature'"),
        (generate(request={**HI, "temperature": -1}), "'temperature'"),
        (generate(request={**HI, "temperature": 10**400}), "'temperature'"),
        (generate(request={**HI, "top_p": 2}), "'top_p'"),
        (generate(request={**HI, "top_k": -1}), "'top_k'"),
        (generate(request={**HI, "min_p": [0.5]}), "'min_p'"),
        (generate(request={**HI, "seed": 2**64}), "'seed'"),
        (generate(request={**HI, "stop": 5}), "'stop'"),
        (generate(request={**HI, "stop": [""]}), "'stop'"),
        (generate(request={**HI, "ignore_eos": "yes"}), "'ignore_eos'"),
        (generate(request={**HI, "model": 5}), "'model'"),
        (generate(request=HI, idempotency_key=""), "'idempotency_key'"),
        (generate(request=HI, idempotency_key=5), "`$.idempotency_key`"),
        ({**generate(request=HI), "type": "generat"}, "'type'"),
        ({**generate(request=HI), "type": None}, "'type'"),
        ({"id": "bad"}, "'type'"),
    ],
)
async def test_a_wrong_field_costs_one_message_only(
    box: Box, token: str, sent: Message, words: str
) -> None:
    """The error names the request and the field; the connection goes on."""
    async with connected(box.url, token) as phone:
        await phone.send(sent)
        error = await phone.until("error")
        await phone.send({"type": "ping", "t": 1})

        assert (error["code"], error["id"]) == ("bad_request", "bad")
        assert words in error["message"]
        assert (await phone.until("pong"))["t"] == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"type": "cancel", "response_id": "r_none"}, "unknown_response"),
        ({"type": "cancel", "response_id": 5}, "bad_request"),
        ({"type": "resume", "response_id": "", "after": 0}, "bad_request"),
        ({"type": "resume", "response_id": "{own}", "after": -1}, "bad_request"),
        ({"type": "ping", "t": {"deep": []}}, "bad_request"),
        ({"type": "ping", "t": "x" * 200}, "bad_request"),
    ],
)
async def test_other_messages_are_checked_too(
    box: Box, token: str, sent: Message, code: str
) -> None:
    """There is no request to name, but a code and a sentence."""
    async with connected(box.url, token) as phone:
        if sent.get("response_id") == "{own}":
            sent = {**sent, "response_id": (await phone.ask(long_chat(1))).response_id}
        await phone.send(sent)

        error = await phone.until("error")

    assert error["code"] == code
    assert "id" not in error


async def test_an_id_in_use_closes_the_connection(home: Home) -> None:
    """A phone that mixes up its ids cannot tell its answers apart."""
    async with connected(home.url, home.token) as phone:
        await phone.send(generate(request=HI))
        await phone.send(generate(request=HI))

        assert await phone.wait_closed() == 4409


async def test_an_id_may_be_used_again_after_its_end(box: Box, token: str) -> None:
    """Whether it ended with an answer or with an error."""
    async with connected(box.url, token) as phone:
        for request in ({}, HI | {"max_tokens": 1}, HI | {"max_tokens": 1}):
            await phone.send(generate(request=request))
            await phone.until("response.done" if request else "error")


async def test_another_model_than_the_boxs_is_refused(box: Box, token: str) -> None:
    """An answer by a model that was not asked would be a lie; the one there is may be named."""
    async with connected(box.url, token) as phone:
        wrong = await phone.ask(chat("Hi", model="gpt-5"))
        model = phone.hello["state"]["model"]
        right = await phone.ask(chat("Hi", model=f"{model.upper()}:latest", max_tokens=1))

    assert wrong.error is not None
    assert wrong.error["code"] == "model_missing"
    assert model in wrong.error["message"]
    assert right.done is not None


@pytest.mark.parametrize("content", ["word " * 9_000, "word " * 40_000, "\0 \x1b[0m é😀" * 4000])
async def test_a_prompt_longer_than_the_context_hears_both_numbers(
    box: Box, token: str, content: str
) -> None:
    """How long it is, and how long it may be."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(content)
        limit = phone.hello["limits"]["request_tokens"]

    assert answer.done is not None
    assert answer.done["status"] == "failed"
    assert answer.done["error"]["code"] == "context_too_long"
    numbers = [int(word) for word in answer.done["error"]["message"].split() if word.isdigit()]
    assert str(limit) in answer.done["error"]["message"]
    assert numbers[0] > limit


@pytest.mark.parametrize("content", ["\0", "\x00\x1b\u202e\uffff", "<|im_end|>", "{{ 7*7 }}", "😀"])
async def test_odd_text_is_only_text(box: Box, token: str, content: str) -> None:
    """Control characters, the template's own marks and other people's brackets do no harm."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(chat(content, max_tokens=2))

    assert answer.done is not None
    assert answer.done["error"] is None


async def test_a_phone_that_sends_but_does_not_read_is_sent_away(box: Box, token: str) -> None:
    """Its pongs would fill the memory; others go on meanwhile."""
    async with connected(box.url, token, max_queue=1) as flood, connected(box.url, token) as calm:
        running = await calm.begin(long_chat(30))
        with pytest.raises(ConnectionClosed):
            await send_for_ever(flood, {"type": "ping", "t": "x" * 128}, every_s=0)
        await calm.finish(running)

        # What says so may be lost behind what it did not read.
        assert await flood.wait_closed() in (1013, 1006)
    assert running.done is not None
    assert running.done["usage"]["completion_tokens"] == 30


async def test_a_ping_is_answered_with_its_own_mark(box: Box, token: str) -> None:
    """Any short value comes back as it was."""
    async with connected(box.url, token) as phone:
        for mark in (0, -1.5, "now", None, 10**30):
            await phone.send({"type": "ping", "t": mark})
            assert (await phone.until("pong"))["t"] == mark


@pytest.mark.slow
async def test_a_phone_without_the_scope_may_not_ask(box: Box) -> None:
    """A monitoring device reads the state and nothing else."""
    token = box.add_device("Monitor", "--scopes", "metrics")
    async with connected(box.url, token) as phone:
        answer = await phone.ask("Hi")

    assert answer.error is not None
    assert answer.error["code"] == "forbidden"


@pytest.mark.slow
async def test_the_state_is_told_at_most_once_a_second(box: Box, token: str) -> None:
    """However much goes on, a phone's radio is left in peace."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    times: list[float] = []

    async def keep_asking() -> None:
        while len(times) < 3:
            await busy.ask(long_chat(1))

    async with (
        connected(box.url, token) as watcher,
        connected(box.url, token) as busy,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(keep_asking(), name="busy phone")
        while len(times) < 3:
            told = await watcher.until("state")
            times.append(loop.time())
            assert told["state"]["max_active"] >= 1

    # Not the times in between: a frame that was heard late is soon followed by the next.
    assert all(heard_at - began_at > 0.99 * number for number, heard_at in enumerate(times))


async def test_answers_end_when_their_phone_asks_for_it(box: Box, token: str) -> None:
    """What was said until then stays, and the engine has time for others."""
    async with connected(box.url, token) as phone:
        answer = await phone.begin(long_chat(2000))
        await phone.cancel(answer)
        await phone.finish(answer)
        await phone.cancel(answer)
        other = await phone.ask(long_chat(2))

    assert answer.done is not None
    assert answer.done["status"] == "cancelled"
    assert answer.done["finish_reason"] is None
    assert answer.text
    assert answer.done["usage"]["completion_tokens"] < 2000
    assert other.done is not None
    assert other.error is None


async def test_the_end_that_was_asked_for_comes_with_the_next_step(home: Home) -> None:
    """Not a word is added."""
    async with connected(home.url, home.token) as phone:
        answer = await phone.generate("Hi")
        await eventually(lambda: home.engine.running)
        home.engine.step(2)
        await phone.until("response.delta")
        await phone.cancel(answer)
        await eventually(lambda: home.engine.cancels)
        home.engine.step()
        await phone.finish(answer)

    assert answer.done is not None
    assert (answer.done["status"], answer.text) == ("cancelled", "ab")
    assert answer.done["usage"]["completion_tokens"] == 2


async def test_the_same_key_gets_the_same_response(box: Box, token: str) -> None:
    """Sent again after a lost acknowledgement, a question is answered once."""
    async with connected(box.url, token) as phone:
        first = await phone.begin(long_chat(20))
        keyed = await phone.ask(long_chat(10), key="k1")
        again = await phone.ask(long_chat(10), key="k1")
        other = await phone.ask(long_chat(2), key="k2")
        await phone.finish(first)
    async with connected(box.url, box.pair("Another with the same key")) as stranger:
        theirs = await stranger.ask(long_chat(2), key="k1")

    assert again.response_id == keyed.response_id
    assert again.text == keyed.text
    assert again.done == keyed.done
    assert len({first.response_id, keyed.response_id, other.response_id, theirs.response_id}) == 4


async def test_the_same_key_while_it_is_written_reads_along(box: Box, token: str) -> None:
    """Both connections get the whole text."""
    async with connected(box.url, token) as one, connected(box.url, token) as two:
        first = await one.generate(long_chat(20), key="along")
        await one.until("response.delta")
        second = await two.generate(long_chat(20), key="along")
        await two.finish(second)
        await one.finish(first)

    assert second.response_id == first.response_id
    assert second.text == first.text


async def test_a_lost_answer_is_resumed_on_another_connection(box: Box, token: str) -> None:
    """Nothing is missing and nothing comes twice; the end comes once."""
    async with connected(box.url, token) as phone:
        answer = await phone.begin(long_chat(40))
        phone.socket.transport.abort()
    async with connected(box.url, token) as phone:
        await phone.resume(answer)
        await phone.finish(answer)

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 40
    async with connected(box.url, token) as phone:
        whole = await phone.resume(Answer(None, answer.response_id))
        await phone.finish(whole)

    assert whole.text == answer.text


async def test_an_answer_is_read_again_from_anywhere(box: Box, token: str) -> None:
    """After any frame that was seen, also on the same connection and after the end."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(long_chat(8))
        prefix = ""
        for delta in answer.deltas:
            prefix += delta["text"]
            channels = {"answer": prefix, "thinking": ""}
            again = Answer(None, answer.response_id, seq=delta["seq"], channels=channels)
            await phone.resume(again)
            await phone.finish(again)
            assert again.text == answer.text
            assert again.done == answer.done


async def test_resuming_on_the_same_connection_reads_on(box: Box, token: str) -> None:
    """In the middle of an answer, from its start: frames on their way may come first."""
    async with connected(box.url, token) as phone:
        answer = await phone.begin(long_chat(20))
        resume = {"type": "resume", "response_id": answer.response_id, "after": 0}
        await phone.send(resume)
        text = answer.text
        async with asyncio.timeout(30):
            while (frame := await phone.receive())["type"] != "response.done":
                if frame["type"] == "response.delta":
                    assert frame["offset"] <= len(text)
                    assert text[frame["offset"] :].startswith(frame["text"]) or frame[
                        "text"
                    ].startswith(text[frame["offset"] :])
                    text = text[: frame["offset"]] + frame["text"]
        whole = await phone.resume(Answer(None, answer.response_id))
        await phone.finish(whole)

    assert text == whole.text


async def test_a_phone_that_saw_the_end_is_owed_nothing(box: Box, token: str) -> None:
    """No second end comes."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(long_chat(2))
        await phone.send({"type": "resume", "response_id": answer.response_id, "after": answer.seq})
        await phone.send({"type": "ping", "t": "behind it"})
        assert (await phone.until("pong"))["t"] == "behind it"


async def test_a_phone_that_knows_more_than_the_box_is_cut_back(box: Box, token: str) -> None:
    """As after a power cut: the number it names is unknown, so it hears where to go on."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(long_chat(3))
        await phone.send({"type": "resume", "response_id": answer.response_id, "after": 9999})
        rewound, done = await next_of_answer(phone), await next_of_answer(phone)

    assert rewound == {
        "type": "response.rewound",
        "response_id": answer.response_id,
        "seq": answer.deltas[-1]["seq"],
        "offsets": {"answer": len(answer.text), "thinking": 0},
    }
    assert done == answer.done


async def next_of_answer(phone: Phone) -> Message:
    """The next frame that is not the box's state, which is told when it is told."""
    while (frame := await phone.receive())["type"] == "state":
        pass
    return frame


async def test_nobody_reads_or_ends_another_devices_answer(box: Box, token: str) -> None:
    """It looks as if there were no such response."""
    async with connected(box.url, token) as phone, connected(box.url, box.pair("Eve")) as eve:
        answer = await phone.begin(long_chat(30))
        await eve.send({"type": "resume", "response_id": answer.response_id, "after": 0})
        gone = await eve.until("resume_gone")
        await eve.send({"type": "cancel", "response_id": answer.response_id})
        error = await eve.until("error")
        await phone.finish(answer)

    assert gone["response_id"] == answer.response_id
    assert error["code"] == "unknown_response"
    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 30
