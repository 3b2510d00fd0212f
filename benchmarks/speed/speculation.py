"""Drafting tokens by prompt lookup: what it wins on text that repeats, and costs on other text.

Kind: hands.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from benchmarks.speed.question import Question, story, words
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, daemon, phones
from benchmarks.speed.stream import decode_tok_s

_REPEATING, _PLAIN = "text that repeats", "plain text"
_ON, _OFF = "drafting", "not drafting"


def speculation(bench: Bench) -> Result:
    """The speed of one stream with drafting on and off, by two daemons in turn."""
    with ExitStack() as stack:
        houses = {
            _ON: stack.enter_context(daemon(bench.setting, engine={"speculation": "auto"})),
            _OFF: stack.enter_context(daemon(bench.setting, engine={"speculation": "off"})),
        }

        async def rounds() -> Ledger:
            async with phones(houses[_ON], 1) as on, phones(houses[_OFF], 1) as off:
                return await _rounds(bench, {_ON: on, _OFF: off})

        ledger = asyncio.run(rounds())
    return ledger.result("speculation", bench.setting)


async def _rounds(bench: Bench, servers: dict[str, Inglenook]) -> Ledger:
    ledger = Ledger()
    tokens = bench.lengths.answer
    for server in servers.values():
        await (await server.begin(0, story(0, 8))).stream()
    for number in range(bench.rounds):
        bench.say(f"speculation, round {number + 1}")
        questions = {_REPEATING: _repeating(tokens), _PLAIN: story(number, tokens)}
        for row, question in questions.items():
            for who in (_ON, _OFF) if number % 2 else (_OFF, _ON):
                stream = await (await servers[who].begin(0, question)).stream()
                ledger.note(row, who, "tok/s", decode_tok_s([stream]))
    for row, bound in ((_REPEATING, 1.0), (_PLAIN, 0.98)):
        text = f"{row}: of the speed without drafting"
        ledger.claim(text, (row, _ON), (row, _OFF), at_least=bound)
    return ledger


def _repeating(tokens: int) -> Question:
    """The likeliest tokens after a text that says the same over and over: more of it."""
    text = "Say this again and again. " + " ".join([words(12, 0)] * 6)
    return Question(({"role": "user", "content": text},), tokens, temperature=0)
