"""An answer that repeats itself without end, through the whole program: it ends, and says why."""

from __future__ import annotations

import asyncio

from benchmarks.follower import Follower, Told, whole_text
from tests.parts.box import Box
from tests.parts.phone import chat, connected

#: What was said often is the likelier to be said again: whatever the question and the processor,
#: the model is in a loop within some tens of tokens.
LOOPING = {"temperature": 0, "frequency_penalty": -2}

#: Where it has to end by itself: a run of 512 tokens, and what stands before it.
_TOKENS_LEAST, _TOKENS_MOST = 512, 700


async def test_a_loop_ends_by_itself_and_the_conversation_goes_on(box: Box, token: str) -> None:
    """The reason is in the end's frame, in the log and in the counts; the prefix is kept."""
    counted = box.http("GET", "/metrics").body.count(b"inglenook_repetitions_total 0.0")
    question = chat("Tell me about the sea.", **LOOPING)
    async with connected(box.url, token) as phone:
        looped = await phone.ask(question)
        followed = [
            *question["messages"],
            {"role": "assistant", "content": looped.text},
            {"role": "user", "content": "Stop it."},
        ]
        after = await phone.ask({"messages": followed, "max_tokens": 3})

    assert looped.done is not None
    assert (looped.done["status"], looped.done["finish_reason"]) == ("incomplete", "repetition")
    tokens = looped.done["usage"]["completion_tokens"]
    assert _TOKENS_LEAST <= tokens < _TOKENS_MOST
    assert after.done is not None
    assert after.done["usage"]["cached_tokens"] >= looped.done["usage"]["prompt_tokens"] - 8
    assert f"answer {looped.response_id} " in box.log()
    assert "finish=repetition end=incomplete" in box.log()
    assert counted == 1
    assert b"inglenook_repetitions_total 1.0" in box.http("GET", "/metrics").body


async def test_a_loop_that_is_wanted_goes_on(box: Box, token: str) -> None:
    """With the field off, as far as ``max_tokens`` allows."""
    question = chat("Tell me about the sea.", **LOOPING, max_tokens=800)
    async with connected(box.url, token) as phone:
        looped = await phone.ask({**question, "repetition_detection": False})

    assert looped.done is not None
    assert looped.done["finish_reason"] == "length"
    assert looped.done["usage"]["completion_tokens"] == 800


async def test_a_loop_ends_through_a_kill_of_the_daemon_and_its_end_is_kept(
    fresh_box: Box,
) -> None:
    """What was written before counts: 512 tokens in all, not 512 more; and the end survives too."""
    token = fresh_box.pair("Ada's phone")
    phone = Follower(fresh_box.url, token, chat("Tell me about the sea.", **LOOPING))
    await phone.follow(lambda told: told.frames >= 3)
    assert not phone.told.over
    await asyncio.to_thread(fresh_box.kill)
    await asyncio.to_thread(fresh_box.restart)
    told = await phone.follow()

    assert not told.breaches
    (end,) = told.ends
    assert (end["status"], end["finish_reason"]) == ("incomplete", "repetition")
    assert _TOKENS_LEAST <= end["usage"]["completion_tokens"] < _TOKENS_MOST
    await asyncio.to_thread(fresh_box.kill)
    await asyncio.to_thread(fresh_box.restart)
    again = await Follower(fresh_box.url, token, {}, told=Told(told.response_id)).follow()
    assert [end["finish_reason"] for end in again.ends] == ["repetition"]
    assert await whole_text(fresh_box.url, token, told.response_id) == told.text
