"""The cheap phone gets the same answer as any other, from a real box."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from benchmarks.speed.phone import Phone, connect
from benchmarks.speed.question import Question, story
from benchmarks.speed.stream import Unmeasurable
from tests.parts.box import Box
from tests.parts.phone import connected
from tests.parts.starter import CAPITAL


@pytest.fixture
async def phone(box: Box, token: str) -> AsyncIterator[Phone]:
    """One that is connected."""
    phone = await connect(box.url, token)
    yield phone
    await phone.close()


async def test_its_answer_is_what_any_phone_would_get(phone: Phone, box: Box, token: str) -> None:
    """Text, and the number of tokens; asked twice on one connection."""
    question = Question(({"role": "user", "content": CAPITAL},), 12, temperature=0)
    streams = [await phone.begin(question).stream() for _ in range(2)]
    async with connected(box.url, token) as other:
        answer = await other.begin(question.body())
        await other.finish(answer)

    for stream in streams:
        assert stream.text == answer.text
        assert stream.tokens == 12
        assert stream.ttft_s > 0
        assert sum(piece.characters for piece in stream.pieces) == len(answer.text)


async def test_it_can_stop_an_answer(phone: Phone) -> None:
    """What came until then is kept."""
    # As long as there is room for, so that it is not over before it can be stopped.
    answer = phone.begin(story(2, 1900))
    while not any(b'"response.delta"' in arrival.data for arrival in answer.arrivals):
        await answer.more(1)
    answer.stop()
    stream = await answer.stream()

    assert 0 < stream.tokens < 1900
    assert stream.text


async def test_a_refusal_is_a_sentence(phone: Phone) -> None:
    """In the box's own words."""
    answer = phone.begin(Question((), 4))
    with pytest.raises(Unmeasurable, match="messages"):
        await answer.stream()


async def test_a_wrong_token_is_a_sentence(box: Box) -> None:
    """Before anything is asked."""
    with pytest.raises(Unmeasurable, match="does not let this phone in"):
        await connect(box.url, "wrong")
