from __future__ import annotations

import asyncio
import logging
import resource
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from inglenook.chat.thinking import Channel
from inglenook.serving.journal import Journal
from inglenook.serving.recorder import Recorder
from inglenook.serving.response import Change, Piece
from tests.serving.test_journal import change, files, opened, opening


@asynccontextmanager
async def recorder_in(folder: Path) -> AsyncIterator[Recorder]:
    """A recorder whose journal is loaded."""
    recorder = Recorder(Journal(folder / "journal.db"))
    await recorder.load()
    try:
        yield recorder
    finally:
        await recorder.close()


@contextmanager
def full_disk(size_bytes: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond ``size_bytes``; the kernel sees to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def seqs_in(folder: Path) -> list[int]:
    """The numbers of the pieces of the one response in a journal."""
    with opened(folder) as (_journal, [saved]):
        return [piece.seq for piece in saved.pieces]


def said(seq: int, text: str = "x" * 100) -> Change:
    """A piece of text."""
    return change("r1", Piece(seq, Channel.ANSWER, 0, text))


async def test_what_was_written_is_there_in_the_next_life(tmp_path: Path) -> None:
    """Through the thread and back."""
    async with recorder_in(tmp_path) as recorder:
        assert recorder.keeps
        await recorder.write([opening()], [said(1)])
    async with recorder_in(tmp_path) as recorder:
        pass
    assert await asyncio.to_thread(seqs_in, tmp_path) == [1]


async def test_without_a_journal_it_keeps_nothing_and_does_nothing() -> None:
    """For an owner who wants no answers on disk."""
    recorder = Recorder(None)
    assert not recorder.keeps
    assert await recorder.load() == ([], 0.0)
    await recorder.write([opening()], [said(1)])
    await recorder.forget(["r1"], purge=True)
    await recorder.close()


async def test_a_full_disk_is_told_once_and_answers_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The write fails, the one after it is not even tried."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        with full_disk():
            await recorder.write([], [said(2)])
            await recorder.write([], [said(3)])
        assert not recorder.keeps
        await recorder.write([], [said(4)])
    [record] = caplog.records
    assert "no longer kept" in record.getMessage()
    assert record.levelno == logging.WARNING


async def test_what_a_full_disk_kept_is_true_as_far_as_it_goes(tmp_path: Path) -> None:
    """The text before is there in the next life; none after it is."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        with full_disk():
            await recorder.write([], [said(2)])
        await recorder.write([], [said(3)])
    assert await asyncio.to_thread(seqs_in, tmp_path) == [1]


async def test_text_is_purged_from_a_journal_that_can_no_longer_be_written(tmp_path: Path) -> None:
    """Then all of it goes: what must be forgotten weighs more than what may be kept."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        with full_disk():
            await recorder.write([], [said(2)])
        assert files(tmp_path)
        await recorder.forget(["r1"], purge=True)
        assert not files(tmp_path)


async def test_purging_on_a_full_disk_still_purges(tmp_path: Path) -> None:
    """Where even the deletion cannot be written, the file goes."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        with full_disk():
            await recorder.forget(["r1"], purge=True)
        assert not files(tmp_path)


async def test_a_journal_that_cannot_be_opened_is_told_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The box serves all the same, and leaves alone what it could not read."""
    (tmp_path / "journal.db").write_bytes(b"")
    (tmp_path / "journal.db-wal").mkdir()
    recorder = Recorder(Journal(tmp_path / "journal.db"))
    assert await recorder.load() == ([], 0.0)
    assert not recorder.keeps
    await recorder.write([opening()], [said(1)])
    await recorder.forget(["r1"], purge=True)
    await recorder.close()

    assert files(tmp_path)
    [record] = caplog.records
    assert "no longer kept" in record.getMessage()


async def test_nothing_of_it_runs_on_the_loops_own_thread(tmp_path: Path) -> None:
    """Disks take their time; phones should not notice."""
    threads: set[int] = set()

    class Watched(Journal):
        def write(self, *args: object) -> None:
            threads.add(threading.get_ident())

        def sync(self) -> None:
            threads.add(threading.get_ident())

    recorder = Recorder(Watched(tmp_path / "journal.db"))
    await recorder.load()
    await recorder.write([], [])
    await recorder.close()

    assert threads
    assert threading.get_ident() not in threads
