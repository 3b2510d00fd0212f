"""An answer on a machine that does something else as well. Kind: hands."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.speed.question import story
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, LlamaServer, Server, daemon, phones
from benchmarks.speed.servers import llama_server as running_llama_server
from benchmarks.speed.stream import decode_tok_s

#: So many that frames of a tenth of a second are a small part of the time, but no more: beside
#: a busy process a token may take seconds.
_TOKENS = 48

_ALONE, _BESIDE = "alone", "beside a busy process"

#: The busy process has half of one core; the answer's threads wait for each other, so for the one
#: that has the other half.
_LEAST_LEFT = 0.4


def neighbour(bench: Bench) -> Result:
    """How fast one answer is alone, and beside a process that keeps one core busy."""
    with ExitStack() as stack:
        house = stack.enter_context(daemon(bench.setting))
        theirs = stack.enter_context(running_llama_server(bench.setting))

        async def rounds() -> Ledger:
            async with phones(house, 1) as ours:
                return await _rounds(bench, ours, theirs)

        ledger = asyncio.run(rounds())
    return ledger.result("neighbour", bench.setting)


async def _rounds(bench: Bench, ours: Inglenook, theirs: LlamaServer) -> Ledger:
    ledger = Ledger()
    contenders: list[Server] = [theirs, ours]
    for contender in contenders:
        await _speed(contender, 0)
    for number in range(1, bench.rounds + 1):
        bench.say(f"neighbour, round {number}")
        for contender in contenders:
            ledger.note(_ALONE, contender.name, "tok/s", await _speed(contender, number))
        with _busy_process():
            for contender in contenders:
                ledger.note(_BESIDE, contender.name, "tok/s", await _speed(contender, number))
    mine = ours.name
    ledger.claim(f"{_BESIDE}: of {_ALONE}", (_BESIDE, mine), (_ALONE, mine), at_least=_LEAST_LEFT)
    return ledger


async def _speed(server: Server, number: int) -> float:
    answer = await server.begin(0, story(number, _TOKENS))
    return decode_tok_s([await answer.stream()])


@contextmanager
def _busy_process() -> Iterator[None]:
    with subprocess.Popen((sys.executable, "-c", "while True: pass")) as process:
        try:
            yield
        finally:
            process.kill()
