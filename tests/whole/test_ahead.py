"""Reading while somebody types: what was prepared is not read again when it is asked."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from tests.parts.box import Box
from tests.parts.phone import STORY, Ahead, Message, Phone, chat, connected, long_chat
from tests.whole.conftest import ENDLESS_TOKENS


def asking(text: str, seed: str) -> Message:
    """A question that no other test has put into the cache."""
    return chat(f"{seed}: {text}", max_tokens=2, temperature=0)


async def prepared(phone: Phone, request: Message) -> Ahead:
    """Have a request read ahead, to its end."""
    ahead = await phone.prepare(request)
    await phone.finish(ahead)
    assert ahead.error is None
    return ahead


async def stay(phone: Phone) -> None:
    """Be there long enough for the daemon to have seen it on the list, which it looks at now and
    then: frames come ten times a second or less on any machine."""
    answer = await phone.begin(long_chat(ENDLESS_TOKENS), deltas=16)
    await phone.cancel(answer)
    await phone.finish(answer)


def cached(done: Message | None) -> int:
    """How much of an answer's prompt was there already."""
    assert done is not None
    tokens: int = done["usage"]["cached_tokens"]
    return tokens


async def test_what_was_typed_is_there_when_it_is_asked(box: Box, token: str) -> None:
    """All but the end, which could still have changed."""
    request = asking(STORY, "ahead 1")
    async with connected(box.url, token) as phone:
        ahead = await prepared(phone, request)
        answer = await phone.ask(request)

    assert ahead.prepared is not None
    assert ahead.prepared["prompt_tokens"] > 200
    assert ahead.prepared["cached_tokens"] > ahead.prepared["prompt_tokens"] - 16
    assert cached(answer.done) >= ahead.prepared["cached_tokens"] - 1


async def test_each_word_more_is_read_once(box: Box, token: str) -> None:
    """A question that grows is ready to the end of what was typed, however often it is sent."""
    words = STORY.split()
    async with connected(box.url, token) as phone:
        sent = [
            await prepared(phone, asking(" ".join(words[:count]), "ahead 2"))
            for count in (60, 120, 180)
        ]
    counts = [ahead.prepared["cached_tokens"] for ahead in sent if ahead.prepared is not None]

    assert all(later > earlier for earlier, later in pairwise(counts))


async def test_typing_fast_ends_with_what_was_typed_last(box: Box, token: str) -> None:
    """Every one is answered, and the question finds the last."""
    words = STORY.split()
    async with connected(box.url, token) as phone:
        sent = [
            await phone.prepare(asking(" ".join(words[:count]), "ahead 3"))
            for count in range(20, 200, 5)
        ]
        await phone.finish(*sent)
        answer = await phone.ask(asking(" ".join(words[:200]), "ahead 3"))

    assert all(ahead.prepared is not None for ahead in sent)
    assert sent[-1].prepared is not None
    assert cached(answer.done) >= sent[-1].prepared["cached_tokens"] - 1 > 150


async def test_a_question_does_not_wait_for_what_its_phone_had_read_ahead(
    box: Box, token: str
) -> None:
    """It goes on from where that has come."""
    request = asking(STORY, "ahead 4")
    async with connected(box.url, token) as phone:
        ahead = await phone.prepare(request)
        answer = await phone.ask(request)
        await phone.finish(ahead)

    assert answer.done is not None
    assert answer.done["error"] is None
    assert ahead.prepared is not None


async def test_a_stream_goes_on_while_another_phone_types(box: Box, token: str) -> None:
    """What is read ahead has only the time that nobody else wants."""
    async with connected(box.url, token) as phone, connected(box.url, box.pair("Typist")) as typist:
        answer = await phone.begin(long_chat(30))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(prepared(typist, asking(STORY, "ahead 5")), name="typing")
            await phone.finish(answer)

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 30


async def test_a_revoked_devices_conversation_is_in_nobodys_cache(box: Box) -> None:
    """The cache does not know whose is what, so it is emptied."""
    request = asking(STORY, "ahead 6")
    token = box.pair("Gone soon")
    async with connected(box.url, token) as phone:
        await phone.ask(request)
        again = await phone.ask(request)
        assert cached(again.done) > 200
        await stay(phone)
    box.revoke("Gone soon", token)
    async with connected(box.url, box.pair("Comes next")) as phone:
        answer = await phone.ask(request)

    assert cached(answer.done) < 50
