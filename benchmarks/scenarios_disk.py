"""What disks, drives and cards do to answers, done on purpose. Kind: hands.

Like `benchmarks.scenarios`: each gives a `Tally` of counts.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.follower import Follower, Told, counting, whole_text
from benchmarks.household import Box
from benchmarks.scenarios import Tally, whole
from benchmarks.slow_card import SlowCard, Sync

_STREAMS = 4

#: Everything waited for here takes seconds; a machine that is busy elsewhere takes its time.
_SOON_S = 120.0
_EVERY_S = 0.02

#: What the daemon's log may grow by while nothing else can.
_LOG_ROOM_BYTES = 16 * 1024

#: A frame counts as late from so much beyond the usual time between two.
LATE_S = 0.3


@dataclass
class Streams:
    """Phones that ask one question after the other.

    Attributes:
        asking: While it is set, a phone whose answer has ended asks the next.
        shown: What each answer's phone was told.
        refused: Questions that were to be asked again.
    """

    box: Box
    tokens_of: list[str]
    length: int
    asking: asyncio.Event = field(default_factory=asyncio.Event)
    shown: list[Told] = field(default_factory=list)
    refused: int = 0
    over: bool = False

    async def talk(self, number: int, tally: Tally) -> None:
        """One phone; ends once `over` is set and its last answer has ended."""
        token = self.tokens_of[number]
        while not self.over:
            await self.asking.wait()
            told = await self._ask(token, f"Tell me story {number}.")
            same = told.text == await whole_text(self.box.url, token, told.response_id)
            tally.count(told, expected=whole(told, self.length) and same)

    async def _ask(self, token: str, question: str) -> Told:
        """Ask until it is taken: a box that says when to come back is asked again then."""
        while True:
            phone = Follower(self.box.url, token, counting(self.length, question))
            self.shown.append(phone.told)
            told = await phone.follow()
            if told.error is None or "retry_after_s" not in told.error:
                return told
            self.shown.remove(told)
            self.refused += 1
            await asyncio.sleep(told.error["retry_after_s"])

    async def some_text(self) -> None:
        """Wait until every answer under way has more text."""
        under_way = [(told, told.frames) for told in self.shown if not told.over]
        await _until(lambda: all(told.over or told.frames > then for told, then in under_way))


@asynccontextmanager
async def _streams(box: Box, tokens: int, tally: Tally) -> AsyncIterator[Streams]:
    """Have four phones ask until the end of the block, and read their last answers after it."""
    tokens_of = [await asyncio.to_thread(box.pair, f"phone {n}") for n in range(_STREAMS)]
    streams = Streams(box, tokens_of, tokens)
    streams.asking.set()
    async with asyncio.TaskGroup() as tasks:
        for number in range(_STREAMS):
            tasks.create_task(streams.talk(number, tally), name=f"phone-{number}")
        await _until(lambda: sum(told.frames > 0 for told in streams.shown) >= _STREAMS)
        yield streams
        streams.over = True
        streams.asking.set()


async def full_disk(box: Box, times: int, *, tokens: int, seed: int) -> Tally:
    """No file may grow for a while; then one may again, somebody asks, and the daemon is killed.

    The kernel sees to it, by the daemon's own limit on the size of files.
    """
    rng = random.Random(seed)
    tally = Tally("disk full and back, daemon killed")
    snapshots: list[tuple[Told, str]] = []
    async with _streams(box, tokens, tally) as streams:
        visitor = await asyncio.to_thread(box.pair, "visitor")
        for _ in range(times):
            await streams.some_text()
            await asyncio.to_thread(_fill, box)
            await _until(lambda: _journal_error(box) is not None)
            await streams.some_text()
            await asyncio.to_thread(_free, box)
            await Follower(box.url, visitor, counting(2)).follow()
            await _until(lambda: _journal_error(box) is None)
            await streams.some_text()
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            snapshots += [(told, told.text) for told in streams.shown]
            await asyncio.to_thread(_kill_daemon, box)
            tally.times += 1
    tally.lost += sum(not told.text.startswith(text) for told, text in snapshots)
    tally.notes["rewinds"] = sum(told.rewinds for told in streams.shown)
    return tally


async def model_gone(box: Box, model: Path, times: int, *, tokens: int, seed: int) -> Tally:
    """The model's file goes, engine or daemon is killed, and some seconds later it is back.

    Args:
        box: A fresh one.
        model: The path in its settings; is moved away and back.
        times: How often.
        tokens: Length of each answer.
        seed: Of the random moments.
    """
    rng = random.Random(seed)
    tally = Tally("model file gone and back")
    away = model.with_name(model.name + ".away")
    snapshots: list[tuple[Told, str]] = []
    async with _streams(box, tokens, tally) as streams:
        for time in range(times):
            await streams.some_text()
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            snapshots += [(told, told.text) for told in streams.shown]
            await asyncio.to_thread(model.rename, away)
            if time % 2:
                await asyncio.to_thread(box.kill)
                await asyncio.to_thread(box.start)
            else:
                await asyncio.to_thread(lambda: os.kill(box.engine_pid(), signal.SIGKILL))
            await _until(lambda: _engine(box) == "missing")
            await asyncio.sleep(rng.uniform(1.0, 6.0))
            await asyncio.to_thread(away.rename, model)
            await asyncio.to_thread(box.wait_ready)
            tally.times += 1
    tally.lost += sum(not told.text.startswith(text) for told, text in snapshots)
    tally.notes["asked again later"] = streams.refused
    return tally


async def slow_card(box: Box, card: SlowCard, duration_s: float, *, tokens: int) -> Tally:
    """Four phones on a card whose syncs take their time; counts frames that came late over one.

    Every few answers there is a pause, in which the journal is emptied, and they ask in the middle
    of that. Answers are forgotten all the while.
    """
    tally = Tally("slow card")
    until = asyncio.get_running_loop().time() + duration_s
    async with _streams(box, tokens, tally) as streams:
        while asyncio.get_running_loop().time() < until:
            enough = tally.answers + 2 * _STREAMS
            await _until(lambda: tally.answers >= enough)  # noqa: B023  is over before it changes
            streams.asking.clear()
            await _until(lambda: all(told.over for told in streams.shown))
            paused_at = asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                async with asyncio.timeout(7.0):
                    await _until(lambda: _copying(card.syncs(), paused_at))  # noqa: B023  as above
            streams.asking.set()
            tally.times += 1
    syncs = [sync for sync in card.syncs() if "journal.db" in sync.path]
    gaps = [gap for told in streams.shown for gap in pairwise(told.came_at)]
    usual_s = statistics.median(later - earlier for earlier, later in gaps)
    late = [(a, b) for a, b in gaps if b - a > usual_s + LATE_S]
    tally.notes["frames"] = len(gaps)
    tally.notes["syncs"] = len(syncs)
    tally.notes["late frames while the card was busy"] = sum(_over(gap, syncs) for gap in late)
    tally.notes["late frames otherwise"] = sum(not _over(gap, syncs) for gap in late)
    tally.notes["longest gap, s"] = round(max(b - a for a, b in gaps), 3)
    return tally


def _copying(syncs: list[Sync], since: float) -> bool:
    """Whether the journal's log is being copied into its file."""
    return any(
        s.path.endswith("journal.db") and s.begun_at > since and s.ended_at is None for s in syncs
    )


def _over(gap: tuple[float, float], syncs: list[Sync]) -> bool:
    """Whether a gap between two frames lies over a sync."""
    begin, end = gap
    return any(s.begun_at < end and (s.ended_at is None or s.ended_at > begin) for s in syncs)


def _fill(box: Box) -> None:
    largest = max(path.stat().st_size for path in box.state_dir.glob("journal.db*"))
    limit_bytes = max(largest, len(box.log()) + _LOG_ROOM_BYTES)
    psutil.Process(box.pid).rlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


def _free(box: Box) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    psutil.Process(box.pid).rlimit(resource.RLIMIT_FSIZE, unlimited)


def _kill_daemon(box: Box) -> None:
    box.kill()
    box.start()
    box.wait_ready()


def _journal_error(box: Box) -> object:
    return box.state()["journal_error"]


def _engine(box: Box) -> object:
    # There is nobody to ask before a daemon that was just started listens.
    with suppress(OSError):
        return box.state()["engine"]
    return None


async def _until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(_SOON_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  see above
            await asyncio.sleep(_EVERY_S)
