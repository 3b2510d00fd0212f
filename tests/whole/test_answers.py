"""The program as a household meets it: pair, ask, read; alone and all at once."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

from tests.parts.box import Box
from tests.parts.phone import chat, connected, long_chat
from tests.parts.starter import BERLIN, CAPITAL, GERMANY, PARIS
from tests.whole.conftest import ENDLESS_TOKENS

#: To this one might say many things.
STORY = "Tell me a story."


async def test_a_phone_that_paired_by_code_asks_and_reads_the_answer_as_it_is_written(
    box: Box,
) -> None:
    """Pairing, authentication, a question, deltas, the end: nothing but the real thing."""
    token = box.pair("Ada's phone")
    async with connected(box.url, token) as phone:
        answer = await phone.ask(chat(CAPITAL, temperature=0, max_tokens=40))
        long = await phone.begin(long_chat(ENDLESS_TOKENS), deltas=2)
        await phone.cancel(long)
        await phone.finish(long)

    assert answer.text == PARIS
    assert long.done is not None
    assert long.done["status"] == "cancelled"
    assert answer.created is not None
    assert answer.created["model"].startswith("SmolLM2")
    assert answer.done is not None
    assert (answer.done["status"], answer.done["finish_reason"]) == ("completed", "stop")


async def test_usage_is_what_was_read_and_written(box: Box, token: str) -> None:
    """As many tokens as asked for, and the same numbers for the same question."""
    async with connected(box.url, token) as phone:
        short = await phone.ask(chat(CAPITAL, max_tokens=12, ignore_eos=True, temperature=0))
        again = await phone.ask(chat(CAPITAL, max_tokens=12, ignore_eos=True, temperature=0))
        longer = await phone.ask(chat(CAPITAL + " there" * 10, max_tokens=1))

    assert short.done is not None
    assert again.done is not None
    assert longer.done is not None
    usage = short.done["usage"]
    assert usage["completion_tokens"] == 12
    assert (short.done["status"], short.done["finish_reason"]) == ("incomplete", "length")
    assert again.text == short.text
    assert again.done["usage"]["completion_tokens"] == 12
    assert again.done["usage"]["prompt_tokens"] == usage["prompt_tokens"]
    # Each " there" is one token of this model's vocabulary.
    assert longer.done["usage"]["prompt_tokens"] == usage["prompt_tokens"] + 10


async def test_the_figures_of_an_answer_fit_together(box: Box, token: str) -> None:
    """First text before the end, speeds above nothing; the log has them in one line."""
    async with connected(box.url, token) as phone:
        answer = await phone.ask(long_chat(10))

    assert answer.done is not None
    timings = answer.done["timings"]
    assert 0 <= timings["queued_s"] <= timings["ttft_s"]
    assert timings["prefill_tok_s"] > 0
    assert timings["decode_tok_s"] > 0
    lines = re.findall(rf"^answer {answer.response_id} .*$", box.log(), re.MULTILINE)
    assert len(lines) == 1
    assert "tokens=10" in lines[0]


async def test_eight_phones_at_once_all_stream(box: Box, token: str) -> None:
    """Each has text while none has all of it; and each gets all of it."""
    requests = [long_chat(16, stop=["never"]) | {"seed": number} for number in range(8)]
    async with AsyncExitStack() as open_until_end:
        phones = [
            await open_until_end.enter_async_context(
                connected(box.url, box.pair(f"Phone of {number}"))
            )
            for number in range(8)
        ]
        async with asyncio.TaskGroup() as tasks:
            short = [
                tasks.create_task(phone.ask(request), name="phone")
                for phone, request in zip(phones, requests, strict=True)
            ]
        async with asyncio.TaskGroup() as tasks:
            # Longer than anybody waits; eight of them are all the box has room for.
            long = [
                tasks.create_task(phone.begin(long_chat(200)), name="phone") for phone in phones
            ]
        state = box.http("GET", "/v1/state", token=token).json()
        for phone, begun in zip(phones, long, strict=True):
            await phone.cancel(begun.result())
            await phone.finish(begun.result())

    assert (state["active"], state["queued"]) == (8, 0)
    for answer in (task.result() for task in short):
        assert answer.done is not None
        assert answer.done["usage"]["completion_tokens"] == 16


async def test_the_same_question_alone_gets_the_same_answer(box: Box, token: str) -> None:
    """At temperature 0, and with a seed at any temperature."""
    async with connected(box.url, token) as phone:
        # Once it has been read: until then its steps go by the clock, and round sums otherwise.
        await phone.ask(chat(STORY, max_tokens=1))
        for fields in ({"temperature": 0}, {"temperature": 1.5, "seed": 7}):
            question = chat(STORY, max_tokens=12, ignore_eos=True, **fields)
            texts = {(await phone.ask(question)).text for _ in range(2)}
            assert len(texts) == 1


async def test_what_ends_an_answer_is_not_part_of_it(box: Box, token: str) -> None:
    """A stop string ends it as the model would."""
    async with connected(box.url, token) as phone:
        cut = await phone.ask(chat(CAPITAL, temperature=0, max_tokens=20, stop=["Paris"]))

    assert cut.text == PARIS.split("Paris")[0]
    assert cut.done is not None
    assert cut.done["finish_reason"] == "stop"


async def test_two_answers_on_one_connection_do_not_mix(box: Box, token: str) -> None:
    """Both grow side by side."""
    async with connected(box.url, token) as phone:
        one = await phone.generate(chat(CAPITAL, temperature=0, max_tokens=20))
        two = await phone.generate(chat(GERMANY, temperature=0, max_tokens=20))
        await phone.finish(one, two)
        beside = [await phone.generate(long_chat(ENDLESS_TOKENS)) for _ in range(2)]
        while not all(answer.deltas for answer in beside):
            await phone.step()
        over = [answer.over for answer in beside]
        for answer in beside:
            await phone.cancel(answer)
        await phone.finish(*beside)

    assert one.response_id != two.response_id
    assert (one.text, two.text) == (PARIS, BERLIN)
    assert over == [False, False]
