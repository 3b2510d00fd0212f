"""What happens is on the disk before anybody sees it, and what is dropped leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from inglenook.common.errors import Code, Problem
from inglenook.serving.job import Job
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.publisher import Publisher
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Status
from inglenook.serving.response_store import ResponseStore
from tests.fakes.engine import Writing
from tests.serving.journal.test_journal import opened, raw
from tests.serving.test_job import ORDER, Owner

SOON_S = 10.0


class Press:
    """One response on its way to its readers."""

    def __init__(self, publisher: Publisher, shelf: ResponseStore) -> None:
        self.publisher = publisher
        self.response = Response("r", "ada", "tiny", now=0.0)
        shelf.add(self.response, None)
        self.job = Job(ORDER, self.response, lambda: 0.0, Owner(), Owner())
        self.writing = Writing(self.job.attempt(1), self.job, [b"secret "] * 9)
        publisher.opening(ResponseOpening("r", "ada", None, "tiny", ORDER))

    def write(self) -> None:
        """One more token."""
        self.writing.step()
        self.publisher.news(self.job)

    async def shown(self, condition: Status) -> None:
        """Wait until readers know so much."""
        changed = asyncio.Event()
        self.response.subscribe(changed.set)
        async with asyncio.timeout(SOON_S):
            while self.response.status is not condition:
                await changed.wait()
                changed.clear()


@asynccontextmanager
async def running(folder: Path, kind: type[Recorder] = Recorder) -> AsyncIterator[Press]:
    """A publisher at work with a journal; stopped at the end."""
    recorder, shelf = kind(Journal(folder / "journal.db")), ResponseStore(600.0, 60.0)
    await recorder.load()
    publisher = Publisher(recorder, shelf, lambda: 0.0, lambda _saved, _last: [])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run(), name="publisher")
        try:
            yield Press(publisher, shelf)
        finally:
            publisher.stop()
    await recorder.close()


async def test_what_is_told_before_the_end_is_published_at_the_end(tmp_path: Path) -> None:
    """A stop loses nothing, and the disk has what readers have."""
    async with running(tmp_path) as press:
        press.writing.begin(thinking=False)
        press.write()
        await press.shown(Status.RUNNING)
        press.write()
    text = "secret secret "
    assert press.response.opened
    assert [piece.text for piece in press.response.after(0, 1024)] == [text]
    [saved] = await asyncio.to_thread(read_back, tmp_path)
    assert "".join(piece.text for piece in saved.pieces) == text


def read_back(folder: Path) -> list[SavedResponse]:
    """What the journal holds."""
    with opened(folder) as (_journal, saved):
        return saved


async def test_the_end_of_an_answer_does_not_wait_for_its_turn(tmp_path: Path) -> None:
    """Whoever reads along has all of it at once: it is published before the next frame is due."""
    async with running(tmp_path) as press:
        press.writing.begin(thinking=False)
        press.write()
        await press.shown(Status.RUNNING)
        loop = asyncio.get_running_loop()
        # The publisher rests from here on; with an hour of it, only an end can break the rest.
        press.publisher._published_at = loop.time() + 3600
        press.write()
        press.job.fail(Problem(Code.INTERNAL, "enough"))
        press.publisher.news(press.job)
        await press.shown(Status.FAILED)

    assert [piece.text for piece in press.response.after(0, 1024)] == ["secret secret "]


async def test_what_is_dropped_and_purged_is_in_no_byte_on_disk(tmp_path: Path) -> None:
    """Once the next round is done."""
    async with running(tmp_path) as press:
        press.writing.begin(thinking=False)
        press.write()
        await press.shown(Status.RUNNING)
        assert b"secret" in raw(tmp_path)
        press.publisher.dropped("r")
        press.publisher.purge()
    assert b"secret" not in raw(tmp_path)


class FaultyOnce(Recorder):
    """Has a bug that shows once in each of its ways."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.writes = self.forgets = 0

    async def write(self, openings: Sequence[ResponseOpening], changes: Sequence[Change]) -> None:
        self.writes += 1
        if self.writes == 2:
            raise RuntimeError("nobody foresaw this")
        await super().write(openings, changes)

    def forget(self, response_ids: Iterable[str], *, purge: bool) -> None:
        self.forgets += 1
        if self.forgets == 1:
            raise RuntimeError("nobody foresaw this")
        super().forget(response_ids, purge=purge)


async def test_what_could_not_be_forgotten_is_forgotten_with_the_next_round(tmp_path: Path) -> None:
    """A bug may cost a moment, but leaves nothing of a device that was shut out."""
    async with running(tmp_path, FaultyOnce) as press:
        press.writing.begin(thinking=False)
        press.write()
        await press.shown(Status.RUNNING)
        press.publisher.dropped("r")
        press.publisher.purge()
        await press.publisher.publish()
        assert b"secret" in raw(tmp_path)
        await press.publisher.publish()
    assert b"secret" not in raw(tmp_path)


async def test_nothing_is_written_behind_what_a_bug_left_out(tmp_path: Path) -> None:
    """The next life would have a text with a gap; what was shown before is true, or gone."""
    async with running(tmp_path, FaultyOnce) as press:
        press.writing.begin(thinking=False)
        for _ in range(3):
            press.write()
            await press.publisher.publish()
        assert press.publisher._recorder.error is not None
        [saved] = await asyncio.to_thread(read_back, tmp_path)
        assert "".join(piece.text for piece in saved.pieces) == "secret "
    assert [piece.text for piece in press.response.after(0, 1024)] == ["secret secret secret "]
