"""One phone reads along while another sends a long text. Kind: hands."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from benchmarks.speed.question import reading, story
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, LlamaServer, Server, daemon, phones
from benchmarks.speed.servers import llama_server as running_llama_server
from benchmarks.speed.stream import Stream
from benchmarks.speed.stream import stall as stall_of

#: Far more than is written while the text is read; the rest is cancelled.
_STREAMER_TOKENS = 1500

#: Frames whose usual distance is what a stall is held against.
_FRAMES_BEFORE = 24

_NEWCOMER_TOKENS = 4


def stall(bench: Bench) -> Result:
    """How long a reader's stream stands still, and how long the newcomer waits."""
    with ExitStack() as stack:
        house = stack.enter_context(daemon(bench.setting))
        theirs = stack.enter_context(running_llama_server(bench.setting))

        async def rounds() -> Ledger:
            async with phones(house, 2) as ours:
                return await _rounds(bench, ours, theirs)

        ledger = asyncio.run(rounds())
    return ledger.result("stall", bench.setting)


async def _rounds(bench: Bench, ours: Inglenook, theirs: LlamaServer) -> Ledger:
    ledger = Ledger()
    contenders: list[Server] = [theirs, ours]
    for contender in contenders:
        await (await contender.begin(0, story(0, 8))).stream()
    for number in range(bench.rounds):
        bench.say(f"stall, round {number + 1}")
        for place in range(len(contenders)):
            contender = contenders[(number + place) % len(contenders)]
            reader, newcomer = await _meet(contender, bench.lengths.long_prompt, number)
            usual_s, longest_s = stall_of(reader, newcomer.asked_s, newcomer.first_s)
            ledger.note("usual gap", contender.name, "ms", usual_s * 1000)
            ledger.note("longest gap", contender.name, "ms", longest_s * 1000)
            ledger.note("longest gap / usual gap", contender.name, "x", longest_s / usual_s)
            ledger.note("newcomer's first text", contender.name, "s", newcomer.ttft_s)
    ledger.claim("longest gap / usual gap", ("longest gap / usual gap", ours.name), at_most=8)
    ledger.claim(
        "newcomer's first text: of llama-server's",
        ("newcomer's first text", ours.name),
        ("newcomer's first text", theirs.name),
        at_most=1.3,
    )
    return ledger


async def _meet(server: Server, prompt_tokens: int, seed: int) -> tuple[Stream, Stream]:
    """The stream of who was there first, and that of who came with a long text."""
    first = await server.begin(0, story(seed, _STREAMER_TOKENS))
    await first.more(_FRAMES_BEFORE)
    second = await server.begin(1, reading(prompt_tokens, seed, _NEWCOMER_TOKENS))
    newcomer = await second.stream()
    # The gap it sits in has to end.
    await first.more(2)
    first.stop()
    return await first.stream(), newcomer
