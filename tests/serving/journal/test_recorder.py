from __future__ import annotations

import asyncio
import errno
import logging
import resource
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from inglenook.chat.thinking import Channel
from inglenook.serving.journal import access as access_module
from inglenook.serving.journal import recorder as recorder_module
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.journal.saved import SavedResponse
from inglenook.serving.response_parts import Change, TextPiece
from tests.serving.journal.test_journal import change, files, opened, opening, raw


@asynccontextmanager
async def recorder_in(folder: Path) -> AsyncIterator[Recorder]:
    """A recorder whose journal is loaded."""
    recorder = Recorder(Journal(folder / "journal.db"))
    await recorder.load()
    try:
        yield recorder
    finally:
        await recorder.close()


@asynccontextmanager
async def at_work(
    recorder: Recorder, *, writing: bool = False, on_due: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """A recorder that looks after the disk until the end of the block."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            recorder.run(
                writing=lambda: writing,
                unfinished=lambda: True,
                on_due=on_due,
                resume_ttl_s=600.0,
            ),
            name="recorder",
        )
        try:
            yield
        finally:
            running.cancel()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(30.0):
        while not condition():  # noqa: ASYNC110 a file tells nobody
            await asyncio.sleep(0.005)


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


def read_back(folder: Path) -> list[SavedResponse]:
    """Everything a journal holds."""
    with opened(folder) as (_journal, saved):
        return saved


def said(seq: int, text: str = "x" * 100) -> Change:
    """A piece of text."""
    return change("r1", TextPiece(seq, Channel.ANSWER, 0, text))


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
    assert (await recorder.load())[0] == []
    await recorder.write([opening()], [said(1)])
    recorder.forget(["r1"], purge=True)
    await recorder.close()


async def test_a_full_disk_is_told_once_and_answers_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The write fails, the one after it is not even tried; whoever asks is told why."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        assert recorder.error is None
        with full_disk():
            await recorder.write([], [said(2)])
            await recorder.write([], [said(3)])
        assert not recorder.keeps
        assert recorder.error == "disk I/O error"
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
        async with at_work(recorder):
            recorder.forget(["r1"], purge=True)
            await eventually(lambda: not files(tmp_path))


async def test_purging_on_a_full_disk_still_purges(tmp_path: Path) -> None:
    """Where even the deletion cannot be written, the file goes."""
    async with recorder_in(tmp_path) as recorder:
        await recorder.write([opening()], [said(1)])
        with full_disk():
            async with at_work(recorder):
                recorder.forget(["r1"], purge=True)
                await eventually(lambda: not files(tmp_path))


async def test_a_journal_that_cannot_be_opened_is_told_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The box serves all the same, and leaves alone what it could not read."""
    (tmp_path / "journal.db").write_bytes(b"")
    (tmp_path / "journal.db-wal").mkdir()
    recorder = Recorder(Journal(tmp_path / "journal.db"))
    assert (await recorder.load())[0] == []
    assert not recorder.keeps
    await recorder.write([opening()], [said(1)])
    recorder.forget(["r1"], purge=True)
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

        def sync(self) -> int:
            threads.add(threading.get_ident())
            return 0

    recorder = Recorder(Watched(tmp_path / "journal.db"))
    await recorder.load()
    await recorder.write([], [])
    await recorder.close()

    assert threads
    assert threading.get_ident() not in threads


async def test_once_the_disk_has_room_again_everything_is_kept_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so; what is kept is what there is then, not what the file held."""
    caplog.set_level("INFO")
    changes: list[str | None] = []
    recorder = Recorder(Journal(tmp_path / "journal.db"), lambda: changes.append(recorder.error))
    await recorder.load()
    await recorder.write([opening("gone")], [])
    with full_disk():
        await recorder.write([opening()], [said(1)])
        await recorder.revive(lambda _saved, _last: pytest.fail("it cannot be opened"))
        assert recorder.error
    pieces = tuple(TextPiece(seq, Channel.ANSWER, seq - 1, "x") for seq in (1, 2, 3))

    def everything(found: list[SavedResponse], _last: Moment) -> list[SavedResponse]:
        assert found == []
        assert not recorder.keeps
        return [SavedResponse(opening(), pieces, (7, 8, 9), None, None, "file")]

    await recorder.revive(everything)
    assert recorder.keeps
    await recorder.write([], [change("r1", TextPiece(9, Channel.ANSWER, 3, "y"), tokens=(1,))])
    await recorder.close()

    assert [bool(error) for error in changes] == [True, False]
    [lost, back] = [record.getMessage() for record in caplog.records]
    assert "no longer kept" in lost
    assert back == "answers are kept on disk again"
    [saved] = await asyncio.to_thread(read_back, tmp_path)
    assert (saved.opening, saved.model_id) == (opening(), "file")
    assert [piece.seq for piece in saved.pieces] == [1, 2, 3, 9]
    assert saved.tokens == (7, 8, 9, 1)


async def test_what_is_forgotten_while_a_journal_comes_back_is_forgotten_there(
    tmp_path: Path,
) -> None:
    """The file is not removed under the hands of who opens it; nothing of it is left all the same.

    Forgetting is told in the moment in which the file is open again and not yet written anew.
    """
    recorder = Recorder(Journal(tmp_path / "journal.db"))
    await recorder.load()
    await recorder.write(
        [opening("gone")], [change("gone", TextPiece(1, Channel.ANSWER, 0, "secret"))]
    )
    async with at_work(recorder):
        with full_disk():
            await recorder.write([opening()], [said(1)])

        def everything(_saved: list[SavedResponse], _last: Moment) -> list[SavedResponse]:
            recorder.forget(["gone"], purge=True)
            return [
                SavedResponse(opening(), (TextPiece(1, Channel.ANSWER, 0, "x"),), (7,), None, None)
            ]

        await recorder.revive(everything)
        assert recorder.keeps
        await eventually(lambda: b"secret" not in raw(tmp_path))
        assert recorder.keeps
    await recorder.close()
    assert await asyncio.to_thread(seqs_in, tmp_path) == [1]


async def test_what_could_not_be_removed_is_purged_when_the_disk_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A device was shut out meanwhile: its words are in none of the bytes."""

    class OnReadOnlyDisk(Journal):
        def delete(self) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

    recorder = Recorder(OnReadOnlyDisk(tmp_path / "journal.db"))
    await recorder.load()
    # So much that SQLite leaves some of it in the file when the rows go.
    text = "secret" * 2000
    changes = [change("gone", TextPiece(seq, Channel.ANSWER, 0, text)) for seq in range(1, 9)]
    await recorder.write([opening("gone")], changes)
    async with at_work(recorder, writing=True):
        with full_disk():
            await recorder.write([opening()], [said(1)])
        recorder.forget(["gone"], purge=True)
        await eventually(lambda: "cannot be removed" in caplog.text)
        await recorder.revive(lambda _saved, _last: [])
        await eventually(lambda: b"secret" not in raw(tmp_path))
    assert recorder.keeps
    await recorder.close()


async def test_a_journal_that_failed_is_due_at_a_question_and_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not at every question of a phone that asks and asks."""
    now = asyncio.get_running_loop().time()
    async with recorder_in(tmp_path) as recorder:
        with monkeypatch.context() as clock:
            clock.setattr(asyncio.get_running_loop(), "time", lambda: now)
            assert not recorder.due(asked=True)
            with full_disk():
                await recorder.write([opening()], [])
            due = []
            for later_s, asked in ((2.0, False), (61.0, False), (0.5, True), (2.0, False)):
                clock.setattr(asyncio.get_running_loop(), "time", lambda s=later_s: now + s)
                due.append(recorder.due(asked=asked))
    # The last is for the question before it, which came too soon.
    assert due == [False, True, False, True]


async def test_a_journal_that_failed_is_tried_again_though_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that run for long are to be safe, too."""
    monkeypatch.setattr(access_module, "RETRY_EVERY_S", 0.01)
    due = asyncio.Event()
    async with recorder_in(tmp_path) as recorder, at_work(recorder, on_due=due.set):
        with full_disk():
            await recorder.write([opening()], [])
        async with asyncio.timeout(30.0):
            await due.wait()


@pytest.mark.parametrize("writing", [False, True])
async def test_the_log_is_emptied_in_a_pause_and_when_it_has_grown_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: bool
) -> None:
    """Or the disk would fill up with it."""
    monkeypatch.setattr(recorder_module, "SYNC_EVERY_S", 0.01)
    monkeypatch.setattr(recorder_module, "LOG_BYTES_MAX", 200_000)
    monkeypatch.setattr(recorder_module, "LOG_STEP_BYTES", 100_000)
    wal = tmp_path / "journal.db-wal"
    async with recorder_in(tmp_path) as recorder, at_work(recorder, writing=writing):
        await recorder.write([opening()], [])
        most_bytes = 0
        for seq in range(1, 300):
            await recorder.write([], [said(seq, "x" * 4000)])
            most_bytes = max(most_bytes, wal.stat().st_size)
            await asyncio.sleep(0.002)
        if not writing:
            await eventually(lambda: wal.stat().st_size == 0)
    # 300 texts of 4000 bytes would be above 1.2 MB.
    assert 5_000 < most_bytes < 800_000
    assert len(await asyncio.to_thread(seqs_in, tmp_path)) == 299
