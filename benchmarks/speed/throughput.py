"""Tokens a second: one stream, a few, and more phones than there are places. Kind: hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from statistics import fmean
from typing import NamedTuple

import psutil

from benchmarks.speed.question import story
from benchmarks.speed.raw import RawLoop, raw_loop
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import PLACES, Inglenook, LlamaServer, Server, daemon, phones
from benchmarks.speed.servers import llama_server as running_llama_server
from benchmarks.speed.stream import Stream, decode_tok_s, jain_index, overall_tok_s

_STREAMS = (1, 4, PLACES)
_PHONES = (1, 2, 4, PLACES, 16, 32)

_WARM_UP_TOKENS = 8

#: Rest is when the machine's cores are used by less than this, over so long; some never rest.
_REST_PERCENT, _LOOK_S, _REST_S = 10.0, 0.1, 2.0

#: Answers each of many phones asks for, one after the other.
_EACH = 2

#: What varies from round to round is 3 %; a fall of less is none.
_NO_FALL = 0.97


def throughput(bench: Bench) -> Result:
    """How fast 1, 4 and 8 answers are written, beside llama.cpp's server and the raw limit."""
    with ExitStack() as stack:
        house = stack.enter_context(daemon(bench.setting))
        theirs = [
            stack.enter_context(running_llama_server(bench.setting, unified=unified))
            for unified in (False, True)
        ]
        raw = stack.enter_context(raw_loop(bench.setting))

        async def rounds() -> Ledger:
            async with phones(house, PLACES) as ours:
                return await _throughput(bench, ours, theirs, raw)

        ledger = asyncio.run(rounds())
    return ledger.result("throughput", bench.setting)


async def _throughput(
    bench: Bench, ours: Inglenook, theirs: Sequence[LlamaServer], raw: RawLoop
) -> Ledger:
    ledger = Ledger()
    contenders: list[Server | RawLoop] = [raw, *theirs, ours]
    for contender in contenders:
        # What is read from the disk and allocated once is not what is measured.
        if isinstance(contender, RawLoop):
            await asyncio.to_thread(contender.decode_tok_s, PLACES, _WARM_UP_TOKENS)
        else:
            await _streams(contender, PLACES, _WARM_UP_TOKENS)
        await asyncio.to_thread(_wait_for_rest)
    for number in range(bench.rounds):
        bench.say(f"throughput, round {number + 1}")
        for streams in _STREAMS:
            # Turns are taken in turn as well: who is first may find the cores cooler. And all have
            # theirs there and back, as a shared machine is slower or faster for half a minute.
            there = [
                contenders[(number + place) % len(contenders)] for place in range(len(contenders))
            ]
            speeds: dict[str, list[float]] = {contender.name: [] for contender in there}
            for contender in (*there, *reversed(there)):
                speed = await _speed(contender, streams, _tokens(bench, streams))
                speeds[contender.name].append(speed)
                await asyncio.to_thread(_wait_for_rest)
            for name, both in speeds.items():
                ledger.note(_row(streams), name, "tok/s", fmean(both))
    for streams, of_raw in zip(_STREAMS, (0.97, None, 0.95), strict=True):
        row = _row(streams)
        mine = (row, ours.name)
        if of_raw is not None:
            ledger.claim(f"{row}: of the raw limit", mine, (row, raw.name), at_least=of_raw)
        if streams > 1:
            for server in theirs:
                text = f"{row}: of {server.name}"
                ledger.claim(text, mine, (row, server.name), at_least=1.15)
    return ledger


def _tokens(bench: Bench, streams: int) -> int:
    """How long answers are: of many at once half as long, so that turns are short."""
    return bench.lengths.answer if streams == 1 else bench.lengths.answer // 2


def _row(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"


async def _speed(contender: Server | RawLoop, streams: int, tokens: int) -> float:
    if isinstance(contender, RawLoop):
        return await asyncio.to_thread(contender.decode_tok_s, streams, tokens)
    return decode_tok_s(await _streams(contender, streams, tokens))


def _wait_for_rest() -> None:
    """Let who had a turn end what it does after an answer: that should not cost the next."""
    deadline_s = time.monotonic() + _REST_S
    while psutil.cpu_percent(interval=_LOOK_S) > _REST_PERCENT and time.monotonic() < deadline_s:
        pass


async def _streams(server: Server, streams: int, tokens: int) -> list[Stream]:
    answers = [await server.begin(who, story(who, tokens)) for who in range(streams)]
    return [await answer.stream() for answer in answers]


def crowd(bench: Bench) -> Result:
    """What 1 to 32 phones get together, and how even their waits are."""
    with daemon(bench.setting) as house:

        async def rounds() -> Ledger:
            async with phones(house, max(_PHONES)) as ours:
                return await _crowd(bench, ours)

        ledger = asyncio.run(rounds())
    return ledger.result("crowd", bench.setting)


async def _crowd(bench: Bench, ours: Inglenook) -> Ledger:
    ledger = Ledger()
    # What was asked before is in the cache, and more of it with few phones than with many.
    stories = count(1)
    await _ask_on(ours, 0, stories, 8)
    for number in range(bench.rounds):
        bench.say(f"crowd, round {number + 1}")
        turns: dict[int, list[_Turn]] = {}
        # There and back, as the contenders in `throughput`.
        for together in (*_PHONES, *reversed(_PHONES)):
            asked = [_ask_on(ours, who, stories, bench.lengths.crowd) for who in range(together)]
            turns.setdefault(together, []).append(_turn(await asyncio.gather(*asked)))
            await asyncio.to_thread(_wait_for_rest)
        for together, both in turns.items():
            row = "1 phone" if together == 1 else f"{together} phones"
            ledger.note(row, "together", "tok/s", fmean(turn.together_tok_s for turn in both))
            ledger.note(row, "longest wait", "s", max(turn.longest_wait_s for turn in both))
            ledger.note(row, "evenness of waits", "", min(turn.evenness for turn in both))
    full = (f"{PLACES} phones", "together")
    for together in (n for n in _PHONES if n > PLACES):
        row = f"{together} phones"
        ledger.claim(f"{row}: of {PLACES}", (row, "together"), full, at_least=_NO_FALL)
        ledger.claim(f"{row}: evenness of waits", (row, "evenness of waits"), at_least=0.95)
    return ledger


class _Turn(NamedTuple):
    """What many phones saw in one turn."""

    together_tok_s: float
    longest_wait_s: float
    evenness: float


def _turn(heard: Sequence[Sequence[Stream]]) -> _Turn:
    flat = [stream for streams in heard for stream in streams]
    # The first is asked by all at once, into an empty box: somebody has to be last. From then on
    # everybody waits behind as many.
    later = [stream.ttft_s for streams in heard for stream in streams[1:]]
    return _Turn(overall_tok_s(flat), max(stream.ttft_s for stream in flat), jain_index(later))


async def _ask_on(
    ours: Inglenook, who: int, stories: Iterator[int], tokens: int
) -> Sequence[Stream]:
    streams = []
    for _ in range(_EACH):
        answer = await ours.begin(who, story(next(stories), tokens))
        streams.append(await answer.stream())
    return streams
