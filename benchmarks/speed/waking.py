"""From a magic packet to the first text, on a box whose model has left memory. Kind: hands."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.household import House, free_port
from benchmarks.speed.question import Question, reading
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import Inglenook, daemon, phones
from benchmarks.speed.stream import Unmeasurable
from benchmarks.speed.turns import Conversation, kept_bytes, written
from inglenook.common.network_cards import parse_mac
from inglenook.discovery.interfaces import wired_macs
from inglenook.engine.prefix_files import purge_folder
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.power.magic import magic_packet

_ANSWER_TOKENS = 16

#: What was said is on the disk by then.
_UNLOAD_AFTER = "5s"

#: The daemon has seen its engine end by then.
_SETTLE_S = 1.0

_BEGUN = b'{"type":"response.created"'

_FIRST, _LOADED, _READ = "packet to first text", "packet to model loaded", "loaded to first text"
_TOKENS = "tokens read"
_SOONER = 5


@dataclass(frozen=True, slots=True)
class _Night:
    """What has become of a box while it slept.

    Attributes:
        name: As the table has it.
        dropped: The kernel has its files in memory no longer.
        forgotten: Its prefix cache is empty.
    """

    name: str
    dropped: bool = False
    forgotten: bool = False


_NIGHTS = (
    _SHORT := _Night("woken"),
    _Night("woken, files on disk only", dropped=True),
    _COLD := _Night("cold, nothing kept", dropped=True, forgotten=True),
)


def waking(bench: Bench) -> Result:
    """A conversation that goes on after the box was asleep, called by a magic packet."""
    macs = wired_macs()
    if not macs:
        raise Unmeasurable("this machine has no wired card, so it hears no magic packets")
    with _box(bench, macs) as (house, call):

        async def rounds() -> Ledger:
            ledger = Ledger()
            async with phones(house, 1) as ours:
                for number in range(bench.rounds):
                    for nth, night in enumerate(_NIGHTS):
                        bench.say(f"waking, round {number + 1}, {night.name}")
                        seed = number * len(_NIGHTS) + nth
                        question = await _talk(ours, bench.lengths.long_prompt, seed)
                        await _sleep(ours, bench.setting.model, night)
                        await _wake(ledger, ours, question, night, call)
            return ledger

        ledger = asyncio.run(rounds())
    for night in _NIGHTS[:-1]:
        text = f"{night.name}: sooner than {_COLD.name}"
        ledger.claim(text, (_FIRST, _COLD.name), (_FIRST, night.name), at_least=_SOONER)
    return ledger.result("waking", bench.setting)


@contextmanager
def _box(bench: Bench, macs: tuple[str, ...]) -> Iterator[tuple[House, Callable[[], None]]]:
    """Run a box that sleeps soon; beside it comes what calls it."""
    port = free_port(socket.SOCK_DGRAM)
    packet = magic_packet(parse_mac(macs[0]))

    def call() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(packet, ("127.0.0.1", port))

    power, wake = {"unload_after": _UNLOAD_AFTER}, {"udp_port": port}
    with daemon(bench.setting, power=power, wake=wake) as house:
        yield house, call


async def _talk(ours: Inglenook, tokens: int, seed: int) -> Question:
    """Have a conversation that is kept on disk; returns how it goes on."""
    conversation = Conversation(reading(tokens, seed, _ANSWER_TOKENS))
    before_bytes = await asyncio.to_thread(kept_bytes, ours.house)
    await conversation.ask(ours)
    await written(ours.house, before_bytes)
    return conversation.question


async def _sleep(ours: Inglenook, model: Path, night: _Night) -> None:
    """Have the box asleep with nobody connected.

    It is started anew: after a call it would stay awake for two minutes.
    """
    house = ours.house
    await ours.hang_up()
    await asyncio.to_thread(house.stop)
    if night.forgotten:
        await asyncio.to_thread(purge_folder, house.state_dir / PREFIX_FOLDER)
    await asyncio.to_thread(house.start)
    await asyncio.to_thread(house.wait_ready)
    await asyncio.to_thread(house.wait_asleep)
    await asyncio.sleep(_SETTLE_S)
    if night.dropped:
        for path in (model, *house.state_dir.rglob("*.kv")):
            await asyncio.to_thread(_drop, path)


def _drop(path: Path) -> None:
    """Have the kernel read a file from the disk when it is next wanted."""
    with path.open("rb") as file:
        # What is not on the disk yet cannot be dropped.
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _wake(
    ledger: Ledger, ours: Inglenook, question: Question, night: _Night, call: Callable[[], None]
) -> None:
    """Call the box, and ask as soon as it lets the phone in."""
    called_s = asyncio.get_running_loop().time()
    call()
    await ours.connect()
    answer = await ours.begin(0, question)
    stream = await answer.stream()
    begun_s = next(a.at_s for a in answer.arrivals if a.data.startswith(_BEGUN))
    ledger.note(_FIRST, night.name, "s", stream.first_s - called_s)
    ledger.note(_LOADED, night.name, "s", begun_s - called_s)
    ledger.note(_READ, night.name, "s", stream.first_s - begun_s)
    ledger.note(_TOKENS, night.name, "", stream.prompt_tokens - stream.cached_tokens)
