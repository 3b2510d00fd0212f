"""What need not be read twice: a conversation that goes on, a shared system prompt. Kind: hands."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.household import House
from benchmarks.speed.question import Message, Question, reading, story, words
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, Server, daemon, phones
from benchmarks.speed.servers import llama_server as running_llama_server
from benchmarks.speed.stream import Stream, Unmeasurable

_ANSWER_TOKENS = 16

#: What is kept of a conversation is written to disk in its own time, on an idle box at once.
_WRITTEN_S = 30.0
_STILL_S = 1.0

#: A killed engine is followed by another at once, or after a second or two.
_AGAIN_S = 30.0
_EVERY_S = 0.1


#: Phones with one system prompt.
_SHARERS = 4


@dataclass
class Conversation:
    """One that grows by a turn each time it is asked on."""

    question: Question

    async def ask(self, server: Server) -> Stream:
        stream = await (await server.begin(0, self.question)).stream()
        more: tuple[Message, ...] = (
            {"role": "assistant", "content": stream.text},
            {"role": "user", "content": "Please go on."},
        )
        self.question = Question((*self.question.messages, *more), _ANSWER_TOKENS)
        return stream


def turns(bench: Bench) -> Result:
    """The second turn of a long conversation: in the pool, after a crash, after a restart."""
    with ExitStack() as stack:
        house = stack.enter_context(daemon(bench.setting))
        theirs = stack.enter_context(running_llama_server(bench.setting))

        async def rounds() -> Ledger:
            ledger = Ledger()
            async with phones(house, 1) as ours:
                for number in range(bench.rounds):
                    bench.say(f"turns, round {number + 1}")
                    conversation = Conversation(_long_text(bench, number))
                    await _two_turns(ledger, theirs, conversation)
                    conversation = Conversation(_long_text(bench, number))
                    before_bytes = kept_bytes(house)
                    await _two_turns(ledger, ours, conversation)
                    await written(house, before_bytes)
                    await _crash(ours)
                    await _turn(ledger, "after a crash", ours, conversation)
                    await _restart(ours)
                    await _turn(ledger, "after a restart", ours, conversation)
            _claim_turns(ledger, ours)
            return ledger

        ledger = asyncio.run(rounds())
    return ledger.result("turns", bench.setting)


def _long_text(bench: Bench, number: int) -> Question:
    return reading(bench.lengths.long_prompt, number, _ANSWER_TOKENS)


async def _two_turns(ledger: Ledger, server: Server, conversation: Conversation) -> None:
    await _turn(ledger, "first turn", server, conversation)
    await _turn(ledger, "second turn", server, conversation)


async def _turn(ledger: Ledger, row: str, server: Server, conversation: Conversation) -> None:
    stream = await conversation.ask(server)
    ledger.note(row, server.name, "s", stream.ttft_s)
    ledger.note(f"{row}: tokens read", server.name, "", stream.prompt_tokens - stream.cached_tokens)


def _claim_turns(ledger: Ledger, ours: Inglenook) -> None:
    for row, times in (
        ("second turn", 20),
        ("after a crash", 15),
        ("after a restart", 15),
    ):
        cold = ("first turn", ours.name)
        ledger.claim(f"{row}: sooner than the first", cold, (row, ours.name), at_least=times)


async def written(house: House, before_bytes: int) -> None:
    """Wait until what was read is on the disk: until its files grow no more."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _WRITTEN_S
    seen_bytes, since_s = before_bytes, loop.time()
    while loop.time() < deadline_s:
        now_bytes = await asyncio.to_thread(kept_bytes, house)
        if now_bytes != seen_bytes:
            seen_bytes, since_s = now_bytes, loop.time()
        elif now_bytes > before_bytes and loop.time() - since_s > _STILL_S:
            return
        await asyncio.sleep(_EVERY_S)
    raise Unmeasurable("this daemon keeps nothing on disk of what it has read")


def kept_bytes(house: House) -> int:
    """How much it has on disk of what was read."""
    return sum(path.stat().st_size for path in house.state_dir.rglob("*.kv"))


async def _crash(ours: Inglenook) -> None:
    """Kill the engine, and wait until there is another and it answers."""
    house = ours.house
    killed = house.engine_pid()
    os.kill(killed, signal.SIGKILL)
    deadline_s = asyncio.get_running_loop().time() + _AGAIN_S
    while await asyncio.to_thread(house.engine_pid) == killed:
        if asyncio.get_running_loop().time() > deadline_s:
            raise Unmeasurable(f"no other engine came up within {_AGAIN_S:.0f} s")
        await asyncio.sleep(_EVERY_S)
    await _answers(ours)


async def _restart(ours: Inglenook) -> None:
    await ours.hang_up()
    await asyncio.to_thread(ours.house.stop)
    await asyncio.to_thread(ours.house.start)
    await asyncio.to_thread(ours.house.wait_ready)
    await ours.connect()
    await _answers(ours)


async def _answers(ours: Inglenook) -> None:
    """Wait until it is up: how long loading takes is not what is measured."""
    await (await ours.begin(0, story(0, 2))).stream()


def sharing(bench: Bench) -> Result:
    """How often one system prompt is read that four phones have in common; counted in tokens."""
    with ExitStack() as stack:
        house = stack.enter_context(daemon(bench.setting))
        theirs = stack.enter_context(running_llama_server(bench.setting))

        async def rounds() -> Ledger:
            ledger = Ledger()
            async with phones(house, _SHARERS) as ours:
                for number in range(bench.rounds):
                    bench.say(f"sharing, round {number + 1}")
                    for server in (theirs, ours):
                        await _share(ledger, bench, server, number)
            for row in _SHARE_ROWS:
                text = f"{row}: times the system prompt was read"
                ledger.claim(text, (row, ours.name), at_most=1.1)
            return ledger

        ledger = asyncio.run(rounds())
    return ledger.result("sharing", bench.setting)


_ONE_BY_ONE, _AT_ONCE = _SHARE_ROWS = ("four phones one by one", "four phones at once")


async def _share(ledger: Ledger, bench: Bench, server: Server, number: int) -> None:
    system_tokens = bench.lengths.system
    for row in _SHARE_ROWS:
        seed = 2 * number + _SHARE_ROWS.index(row)
        system: Message = {"role": "system", "content": words(system_tokens, seed)}
        streams = []
        if row == _ONE_BY_ONE:
            for who in range(_SHARERS):
                streams.append(await (await server.begin(who, _sharer(system, who))).stream())
        else:
            answers = [await server.begin(w, _sharer(system, w)) for w in range(_SHARERS)]
            streams = [await answer.stream() for answer in answers]
        read = sum(stream.prompt_tokens - stream.cached_tokens for stream in streams)
        own = sum(stream.prompt_tokens - system_tokens for stream in streams)
        ledger.note(row, server.name, "x", (read - own) / system_tokens)


def _sharer(system: Message, who: int) -> Question:
    user: Message = {"role": "user", "content": words(12, who)}
    return Question((system, user), _ANSWER_TOKENS)
