"""A question that the box reads while it is typed. Kind: hands."""

from __future__ import annotations

import asyncio

from benchmarks.speed.question import Question, story, words
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, daemon, phones
from benchmarks.speed.stream import Unmeasurable

_ANSWER_TOKENS = 4

#: How often a phone says what has been typed so far.
_PREPARES = 10

#: Never written to the end.
_READER_TOKENS = 1500

_FIRST_TEXT, _GAP = "first text", "longest gap of another's stream"
_WITH, _WITHOUT = "read while typed", "read when sent"


def typed(bench: Bench) -> Result:
    """How soon the first text comes if the question was read ahead, and who pays for it."""
    with daemon(bench.setting) as house:

        async def rounds() -> Ledger:
            async with phones(house, 2) as ours:
                return await _rounds(bench, ours)

        ledger = asyncio.run(rounds())
    return ledger.result("typed", bench.setting)


async def _rounds(bench: Bench, ours: Inglenook) -> Ledger:
    ledger = Ledger()
    tokens, typing_s = bench.lengths.question, bench.lengths.typing_s
    await (await ours.begin(0, story(0, 8))).stream()
    for number in range(bench.rounds):
        bench.say(f"typed, round {number + 1}")
        unread, read, beside = (words(tokens, 3 * number + n) for n in range(3))
        answer = await (await ours.begin(0, _asking(unread))).stream()
        ledger.note(_FIRST_TEXT, _WITHOUT, "s", answer.ttft_s)
        ready = await _type(ours, read, typing_s)
        answer = await (await ours.begin(0, _asking(read))).stream()
        ledger.note(_FIRST_TEXT, _WITH, "s", answer.ttft_s)
        ledger.note("tokens ready when sent", _WITH, "", ready)
        alone_s, besides_s = await _beside(ours, beside, typing_s / 2)
        ledger.note(_GAP, _WITHOUT, "ms", alone_s * 1000)
        ledger.note(_GAP, _WITH, "ms", besides_s * 1000)
    ledger.claim(
        "first text: sooner if it was read while typed",
        (_FIRST_TEXT, _WITHOUT),
        (_FIRST_TEXT, _WITH),
        at_least=5,
    )
    ledger.claim(
        "another's longest gap: of that with nobody typing",
        (_GAP, _WITH),
        (_GAP, _WITHOUT),
        at_most=1.5,
    )
    return ledger


async def _type(ours: Inglenook, text: str, typing_s: float) -> int:
    """Type a text on phone 0; returns how many of its tokens the box has ready."""
    # What came too late for the text before is of no interest.
    ours.phones[0].replies()
    letters = text.split(" ")
    for part in range(1, _PREPARES + 1):
        ours.phones[0].prepare(_asking(" ".join(letters[: len(letters) * part // _PREPARES])))
        await asyncio.sleep(typing_s / _PREPARES)
    replies = ours.phones[0].replies()
    if not replies:
        raise Unmeasurable("this daemon does not read ahead: it has not replied to `prepare`")
    ready: list[int] = [reply.get("cached_tokens", 0) for reply in replies]
    return max(ready)


async def _beside(ours: Inglenook, text: str, duration_s: float) -> tuple[float, float]:
    """The longest gaps of phone 1's stream: with nobody typing, then with phone 0 typing."""
    loop = asyncio.get_running_loop()
    answer = await ours.begin(1, story(1, _READER_TOKENS))
    await answer.more(4)
    began_s = loop.time()
    await asyncio.sleep(duration_s)
    typing_s = loop.time()
    await _type(ours, text, duration_s)
    ended_s = loop.time()
    answer.stop()
    stream = await answer.stream()
    alone = stream.gaps_s(began_s, typing_s)
    return max(alone), max(stream.gaps_s(typing_s, ended_s))


def _asking(text: str) -> Question:
    return Question(({"role": "user", "content": text},), _ANSWER_TOKENS)
