"""More questions than places: who waits hears where, who cannot wait hears when to come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.parts.box import Box, running_box
from tests.parts.phone import Phone, connected, long_chat

QUEUE = 4


@pytest.fixture(scope="module")
def narrow_box(starter_model: Path) -> Iterator[Box]:
    """One answer at a time, and four that wait."""
    settings = {"engine": {"max_sequences": 1}, "serving": {"queue": QUEUE}}
    with running_box(starter_model, settings) as box:
        yield box


@pytest.fixture
async def ada(narrow_box: Box) -> AsyncIterator[Phone]:
    """A phone with a long answer running, which takes the only place."""
    async with connected(narrow_box.url, narrow_box.pair("Ada")) as phone:
        answer = await phone.begin(long_chat(2000))
        yield phone
        await phone.cancel(answer)
        await phone.finish(answer)


async def test_who_waits_hears_its_place(narrow_box: Box, ada: Phone) -> None:
    """Which number it is, about how long, and why; a better place is told too."""
    async with connected(narrow_box.url, narrow_box.pair("Ben")) as ben:
        first = await ben.generate(long_chat(2))
        second = await ben.generate(long_chat(2))
        while not (first.queued and second.queued):
            await ben.step()
        assert [first.queued[-1]["position"], second.queued[-1]["position"]] == [1, 2]
        assert 0 < first.queued[-1]["eta_s"] < second.queued[-1]["eta_s"]
        assert first.queued[-1]["reason"] == "busy"

        await ben.cancel(first)
        await ben.finish(first)
        while second.queued[-1]["position"] != 1:
            await ben.step()

        await ben.cancel(second)
        await ben.finish(second)
    for answer in (first, second):
        assert answer.done is not None
        assert answer.done["status"] == "cancelled"
        assert answer.done["usage"]["completion_tokens"] == 0
        assert answer.text == ""


async def test_who_waited_is_served_when_there_is_room(narrow_box: Box, ada: Phone) -> None:
    """Queued, then created, then text."""
    async with connected(narrow_box.url, narrow_box.pair("Cay")) as cay:
        waiting = await cay.generate(long_chat(3))
        await cay.until("response.queued")
        await ada.cancel(ada.answers[0])
        await cay.finish(waiting)

    assert waiting.done is not None
    assert waiting.done["status"] == "incomplete"
    assert waiting.done["timings"]["queued_s"] > 0


async def test_a_full_queue_says_when_to_come_back(narrow_box: Box, ada: Phone) -> None:
    """To everybody alike; a place that becomes free is had at once."""
    async with AsyncExitStack() as open_until_end:
        phones = [
            await open_until_end.enter_async_context(
                connected(narrow_box.url, narrow_box.pair(f"Guest {number}"))
            )
            for number in range(QUEUE + 1)
        ]
        waiting = []
        for phone in phones[:QUEUE]:
            waiting.append(await phone.generate(long_chat(1)))
            await phone.until("response.queued")
        refused = await phones[QUEUE].ask(long_chat(1))
        http = narrow_box.http(
            "POST", "/v1/inference", token=narrow_box.pair("Script"), body={"question": "Hi"}
        )
        await phones[0].cancel(waiting[0])
        await phones[0].finish(waiting[0])
        late = await phones[QUEUE].generate(long_chat(1))
        await phones[QUEUE].until("response.queued")
        for phone, answer in [*zip(phones[1:], [*waiting[1:], late], strict=True)]:
            await phone.cancel(answer)
            await phone.finish(answer)

    assert refused.error is not None
    assert refused.error["code"] == "busy"
    assert refused.error["retry_after_s"] > 0
    assert (http.status, http.code) == (503, "busy")
    assert int(http.headers["Retry-After"]) >= 1


async def test_leaving_takes_nothing_back(narrow_box: Box, ada: Phone) -> None:
    """A phone that waits may go; its answer is written and waits for it."""
    token = narrow_box.pair("Dee")
    async with connected(narrow_box.url, token) as phone:
        answer = await phone.generate(long_chat(3))
        await phone.until("response.queued")
    await ada.cancel(ada.answers[0])
    async with connected(narrow_box.url, token) as phone:
        await phone.resume(answer)
        await phone.finish(answer)

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 3
