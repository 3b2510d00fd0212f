"""No stream waits for the card: real daemon, real SQLite, syncs held up until the test lets go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.follower import Follower, Told
from benchmarks.slow_card import SlowCard
from tests.parts.box import Box, made_box
from tests.parts.phone import long_chat

#: The daemon syncs every 5 s while anything is written; a busy machine takes its time.
_SOON_S = 60.0

#: Frames that have to come while a sync lasts, to each phone: what a second and more brings.
_FRAMES = 12


@pytest.fixture
def card(tmp_path: Path) -> SlowCard:
    """A card whose syncs can be held."""
    return SlowCard(tmp_path, "/")


@pytest.fixture
def slow_box(starter_model: Path, card: SlowCard) -> Iterator[Box]:
    """A daemon on such a card that forgets answers two seconds after their end."""
    settings = {"serving": {"resume_ttl": "2s"}}
    with made_box(starter_model, settings) as box:
        box.extra_environ = card.environ
        box.start()
        box.wait_ready()
        yield box
        card.let_go()
        box.stop()


class Talkers:
    """Phones that ask one thing after the other."""

    def __init__(self, box: Box, tokens: list[str]) -> None:
        self._box = box
        self._tokens = tokens
        self._told: list[list[Told]] = [[] for _ in tokens]

    @property
    def frames(self) -> list[int]:
        """How many each has been sent."""
        return [sum(told.frames for told in one) for one in self._told]

    @property
    def answers(self) -> list[int]:
        """How many each has begun."""
        return [len(one) for one in self._told]

    @property
    def breaches(self) -> list[str]:
        """What was wrong with any."""
        return [breach for one in self._told for told in one for breach in told.breaches]

    async def talk(self, number: int) -> None:
        """Ask on and on, each answer some two seconds long."""
        while True:
            phone = Follower(self._box.url, self._tokens[number], long_chat(120))
            self._told[number].append(phone.told)
            await phone.follow()


@asynccontextmanager
async def talking(box: Box, *names: str) -> AsyncIterator[Talkers]:
    """Have phones talk until the end of the block."""
    tokens = [await asyncio.to_thread(box.pair, name) for name in names]
    talkers = Talkers(box, tokens)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(talkers.talk(n), name=name) for n, name in enumerate(names)]
        try:
            yield talkers
        finally:
            for task in running:
                task.cancel()


async def until_held(card: SlowCard, end: str) -> None:
    """Wait until a sync of such a file has begun and does not end."""
    async with asyncio.timeout(_SOON_S):
        while True:
            if any(s.path.endswith(end) and s.ended_at is None for s in card.syncs()):
                return
            await asyncio.sleep(0.01)


async def until_more_answers(talkers: Talkers) -> None:
    """Wait until each phone's answer has ended, and the next begun."""
    before = talkers.answers
    async with asyncio.timeout(_SOON_S):
        while any(now == then for now, then in zip(talkers.answers, before, strict=True)):  # noqa: ASYNC110 phones tell nobody
            await asyncio.sleep(0.01)


async def until_more(talkers: Talkers, frames: int) -> None:
    """Wait until each phone has been sent so many frames more."""
    before = talkers.frames
    async with asyncio.timeout(_SOON_S):
        while any(now - then < frames for now, then in zip(talkers.frames, before, strict=True)):  # noqa: ASYNC110 phones tell nobody
            await asyncio.sleep(0.01)


async def test_frames_go_on_while_the_log_is_synced(slow_box: Box, card: SlowCard) -> None:
    """Every 5 s while anything is written. Answers begin, end and are forgotten meanwhile."""
    async with talking(slow_box, "Ada's phone", "Ben's phone") as talkers:
        card.hold("journal.db-wal")
        await until_held(card, "journal.db-wal")
        await go_on(talkers, card, "journal.db-wal")


async def test_frames_go_on_while_the_log_is_copied_into_the_file(
    slow_box: Box, card: SlowCard
) -> None:
    """It is in a pause; phones that ask just then, and expect it to be over, need not wait."""
    async with talking(slow_box, "Ada's phone") as talkers:
        await until_more(talkers, _FRAMES)
    card.hold("journal.db")
    await until_held(card, "journal.db")
    async with talking(slow_box, "Ben's phone", "Cy's phone") as talkers:
        await go_on(talkers, card, "journal.db")


async def go_on(talkers: Talkers, card: SlowCard, end: str) -> None:
    """See that answers are written and forgotten while that sync lasts, and after it."""
    held = [sync for sync in card.syncs() if sync.path.endswith(end)][-1]
    for _ in range(4):
        await until_more(talkers, _FRAMES)
        await until_more_answers(talkers)
    [still] = [sync for sync in card.syncs() if sync.begun_at == held.begun_at]
    assert still.ended_at is None, "it was to last all the while"
    card.let_go()
    await until_more(talkers, _FRAMES)
    assert not talkers.breaches


async def test_a_phone_is_let_in_and_answered_while_it_is_noted_that_it_was_here(
    slow_box: Box, card: SlowCard
) -> None:
    """That is written to the card; neither it nor whoever comes after it waits for that."""
    tokens = [await asyncio.to_thread(slow_box.pair, name) for name in ("Ada's phone", "Ben's")]
    card.hold("/state")
    for token in (*tokens, *tokens):
        async with asyncio.timeout(_SOON_S):
            told = await Follower(slow_box.url, token, long_chat(5)).follow()
        assert told.ends
    assert any(s.path.endswith("/state") and s.ended_at is None for s in card.syncs())
    card.let_go()


async def test_what_is_lost_with_the_power_is_no_more_than_before(
    slow_box: Box, card: SlowCard
) -> None:
    """While anything is written its log is synced every 5 s, whatever else is to be done."""
    async with talking(slow_box, "Ada's phone") as talkers:
        await until_more(talkers, 1)
        async with asyncio.timeout(_SOON_S):
            while len(syncs := log_syncs(card)) < 4:
                await until_more(talkers, 1)
    gaps_s = [later - earlier for earlier, later in pairwise(syncs)]
    assert max(gaps_s) < 6.5


def log_syncs(card: SlowCard) -> list[float]:
    """When the log was synced."""
    return [sync.begun_at for sync in card.syncs() if sync.path.endswith("journal.db-wal")]
