"""Two daemons started at once on one state folder: exactly one may live. Kind: hands."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from typing import cast

from benchmarks.follower import Follower, counting
from benchmarks.household import House, made_house
from benchmarks.scenarios import Tally, whole

#: What the one that ends says.
_SAID = "it is already running, with the state in"

#: The two are started within so many seconds, so that both are in the middle of their starts.
_APART_S = 0.1

#: Python's start and a model's load, on a machine that does other things as well.
_ENDED_S = 60.0

_EVERY_S = 0.002
_TOKENS = 8

_FAILURES = ("both lived", "none lived", "ended otherwise", "owner not heard")


async def overlapping_starts(house: House, times: int, *, seed: int = 5) -> Tally:
    """Start two daemons at nearly the same moment, at the same ports and at others in turn.

    In every second pair of rounds the first is held up in the middle of its start while the second
    goes on. One must live, hear its owner by the control socket and answer a paired phone; the
    other must end with exit code 1 and say why.

    Args:
        house: A daemon that is ready; it is stopped first, and not running afterwards.
        times: Rounds.
        seed: For how far apart the starts are.
    """
    token = await asyncio.to_thread(house.pair, "overlap")
    await asyncio.to_thread(house.stop)
    chance = random.Random(seed)  # no secret
    tally = Tally("overlapping starts", notes=dict.fromkeys(_FAILURES, 0))
    listen = {"port": house.port, "tls_port": 0}
    shared = {
        "state_dir": str(house.state_dir),
        "model": {"path": str(house.model)},
        "engine": {"threads": 1},
    }
    with made_house({**shared, "listen": listen}) as same, made_house(shared) as other:
        for number in range(times):
            rivals = (house, same if number % 2 else other)
            if number % 4 < 2:
                await asyncio.to_thread(_start_one_in_the_middle, *rivals)
            else:
                house.start()
                await asyncio.sleep(chance.uniform(0, _APART_S))
                rivals[1].start()
            await _judge(tally, rivals, token)
            for one in rivals:
                await asyncio.to_thread(one.give_up)
    return tally


def _count(tally: Tally, failure: str) -> None:
    assert failure in _FAILURES
    tally.notes[failure] = cast(int, tally.notes[failure]) + 1
    tally.lost += 1


def _start_one_in_the_middle(first: House, second: House) -> None:
    """Hold the first up once it has made its control socket, until the second has come through."""
    path = first.state_dir / "control.sock"
    path.unlink(missing_ok=True)
    first.start()
    _wait(path.exists)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        second.start()
        _wait(lambda: second.exit_code() is not None or second.is_ready())
    finally:
        os.kill(first.pid, signal.SIGCONT)


async def _judge(tally: Tally, rivals: tuple[House, House], token: str) -> None:
    tally.times += 1
    await asyncio.to_thread(_wait, lambda: _has_been_decided(rivals))
    living = [one for one in rivals if one.exit_code() is None]
    if len(living) != 1:
        _count(tally, "both lived" if living else "none lived")
        return
    [ended] = set(rivals) - set(living)
    if ended.exit_code() != 1 or _SAID not in ended.log().strip().splitlines()[-1]:
        _count(tally, "ended otherwise")
    await asyncio.to_thread(living[0].wait_ready)
    try:
        await asyncio.to_thread(living[0].state)
    except OSError:
        _count(tally, "owner not heard")
    told = await Follower(living[0].url, token, counting(_TOKENS)).follow()
    tally.count(told, expected=whole(told, _TOKENS))
    await asyncio.to_thread(living[0].stop)


def _has_been_decided(rivals: tuple[House, House]) -> bool:
    """Whether one has ended; or both are ready, which is not to be."""
    if any(one.exit_code() is not None for one in rivals):
        return True
    return rivals[0].url != rivals[1].url and all(one.is_ready() for one in rivals)


def _wait(condition: Callable[[], bool]) -> None:
    """Wait for it; a scenario that waits in vain finds out what is wrong afterwards."""
    deadline_s = time.monotonic() + _ENDED_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(_EVERY_S)
