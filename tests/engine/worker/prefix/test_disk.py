"""The thread: files are written, read, removed; a disk that fails is done without."""

from __future__ import annotations

import os
import select
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inglenook.engine.worker.prefix import disk as disk_module
from inglenook.engine.worker.prefix import io_queue as queue_module
from inglenook.engine.worker.prefix.blockfile import PIECE_BYTES, file_bytes
from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.disk import Disk
from inglenook.engine.worker.prefix.io_queue import IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    DiskFailed,
    IoCompletion,
    ReadDone,
    ScanDone,
    WriteBlock,
    WriteDone,
)
from tests.engine.worker.prefix.keeping import (
    DEADLINE_S,
    MIB,
    OTHER_ROOT,
    ROOT,
    blocks_of,
    file_system,
    files,
    full_disk,
    prompt,
)

FIRST, SECOND, TAIL = (blocks_of(prompt(128, seed=seed))[0] for seed in range(3))
STATE = b"state" * 100
FILE_BYTES = file_bytes(FIRST, len(STATE))


class Running:
    """A disk, and the engine's end of the exchange."""

    def __init__(self, folder: Path, disk_bytes: int, root: bytes) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._own = folder / root.hex()
        self.queue = IoQueue(self._event_fd)
        self.disk = Disk(folder, root, disk_bytes, self.queue)

    def news(self) -> IoCompletion:
        """Wait for one completion."""
        assert select.select([self._event_fd], [], [], DEADLINE_S)[0], "no news"
        os.eventfd_read(self._event_fd)
        [news] = self.queue.take_completions()
        return news

    def write(self, block: Block, payload: bytes = STATE) -> None:
        self.queue.write(WriteBlock(block, payload, 0))

    def written(self, block: Block, own_bytes: int = 0) -> bool:
        """Write, and wait for it; all chores are done by then."""
        self.queue.write(WriteBlock(block, STATE, own_bytes))
        news = self.news()
        assert isinstance(news, WriteDone)
        assert news.key == block.key
        return news.done

    def read(self, block: Block) -> bytes | None:
        self.queue.read(block)
        news = self.news()
        assert isinstance(news, ReadDone)
        assert news.block == block
        return None if news.payload is None else bytes(news.payload)

    def path(self, block: Block) -> Path:
        return self._own / f"{block.key.hex()}.kv"

    def close(self, deadline_s: float = DEADLINE_S) -> bool:
        ended = self.disk.close(deadline_s)
        if ended and self._event_fd >= 0:
            os.close(self._event_fd)
            self._event_fd = -1
        return ended


@contextmanager
def running(
    folder: Path, *, disk_bytes: int = 64 * MIB, root: bytes = ROOT
) -> Iterator[tuple[Running, IoCompletion]]:
    """A disk, and its first completion."""
    running = Running(folder, disk_bytes, root)
    try:
        yield running, running.news()
    finally:
        assert running.close()


@contextmanager
def looked_round(folder: Path, *, disk_bytes: int = 64 * MIB) -> Iterator[Running]:
    with running(folder, disk_bytes=disk_bytes) as (disk, found):
        assert isinstance(found, ScanDone)
        yield disk


def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no completion."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces wait for a pause, but not as long as they would."""
    monkeypatch.setattr(queue_module, "WRITE_DELAY_MAX_S", 0.02)


@contextmanager
def half_written(disk: Running, block: Block) -> Iterator[Path]:
    """A block of which some pieces are written, on a box that never pauses."""
    disk.queue.set_computing(computing=True)
    disk.write(block, bytes(400 * PIECE_BYTES))
    temporary = disk.path(block).with_suffix(".tmp")
    until(lambda: temporary.exists() and temporary.stat().st_size > PIECE_BYTES)
    yield temporary
    assert not disk.path(block).exists()


def test_what_was_written_is_read_and_there_in_the_next_life(tmp_path: Path) -> None:
    """By whoever asks for just that."""
    with looked_round(tmp_path) as disk:
        assert disk.written(FIRST)
        assert disk.read(FIRST) == STATE
    with running(tmp_path) as (_disk, found):
        assert isinstance(found, ScanDone)
        assert [(file.block, file.file_bytes) for file in found.kept] == [(FIRST, FILE_BYTES)]
        assert found.room_bytes > 0


def test_folders_and_files_are_their_owners_alone(tmp_path: Path) -> None:
    """They hold conversations."""
    with looked_round(tmp_path / "cache") as disk:
        disk.written(FIRST)

    modes = {
        path.relative_to(tmp_path).parts[-1]: stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert modes == {"cache": 0o700, ROOT.hex(): 0o700, f"{FIRST.key.hex()}.kv": 0o600}


def test_a_removed_block_is_gone(tmp_path: Path) -> None:
    """One that never was does no harm."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        disk.queue.delete(FIRST.key)
        disk.queue.delete(SECOND.key)
        disk.written(TAIL)

        assert files(tmp_path) == [disk.path(TAIL)]


@pytest.mark.usefixtures("hasty")
def test_a_block_that_is_removed_while_it_is_written_never_appears(tmp_path: Path) -> None:
    """Nothing is left of it, and the next is written."""
    with looked_round(tmp_path) as disk:
        with half_written(disk, FIRST) as temporary:
            disk.queue.delete(FIRST.key)
            until(lambda: not temporary.exists())
        assert disk.written(SECOND)
        assert files(tmp_path) == [disk.path(SECOND)]


@pytest.mark.usefixtures("hasty")
def test_a_read_does_not_wait_for_a_write(tmp_path: Path) -> None:
    """Between two pieces."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        with half_written(disk, SECOND) as temporary:
            assert disk.read(FIRST) == STATE
            assert temporary.exists()
        disk.queue.delete(SECOND.key)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [damage, Path.unlink])
def test_a_damaged_or_vanished_file_is_a_miss_and_gone(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """The disk serves on."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        harm(disk.path(FIRST))

        assert disk.read(FIRST) is None
        assert files(tmp_path) == []
        assert disk.written(SECOND)


def test_use_is_noted_in_a_files_time(tmp_path: Path) -> None:
    """The next run knows which to evict first; a missing file does not matter."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        os.utime(disk.path(FIRST), (0, 0))
        disk.queue.touch([SECOND.key, FIRST.key])
        disk.written(TAIL)

        assert disk.path(FIRST).stat().st_mtime > 0
        assert not disk.path(SECOND).exists()


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    """They may have wanted the room, once."""
    with looked_round(tmp_path / "cache") as disk:
        disk.written(FIRST)
        shutil.rmtree(tmp_path / "cache")

        assert disk.read(FIRST) is None
        assert disk.written(SECOND)
        assert disk.read(SECOND) == STATE


def write_strangers(folder: Path) -> list[Path]:
    """Two blocks of another model, the one used longest ago first."""
    with running(folder, root=OTHER_ROOT) as (disk, _found):
        for age, block in enumerate((SECOND, FIRST)):
            disk.written(block)
            os.utime(disk.path(block), (age, age))
        return [disk.path(SECOND), disk.path(FIRST)]


def test_another_models_files_make_way_first(tmp_path: Path) -> None:
    """The oldest of them, and only as far as they are over the bound; then its folder too."""
    oldest, newest = write_strangers(tmp_path)
    with looked_round(tmp_path, disk_bytes=3 * FILE_BYTES) as disk:
        assert disk.disk.foreign_bytes == 2 * FILE_BYTES
        disk.written(FIRST, own_bytes=FILE_BYTES)
        assert files(tmp_path) == sorted([oldest, newest, disk.path(FIRST)])
        disk.written(SECOND, own_bytes=2 * FILE_BYTES)
        assert files(tmp_path) == sorted([newest, disk.path(FIRST), disk.path(SECOND)])
        disk.written(TAIL, own_bytes=3 * FILE_BYTES)
        assert disk.disk.foreign_bytes == 0
        assert not newest.parent.exists()


def test_a_bound_that_was_lowered_holds_from_the_start(tmp_path: Path) -> None:
    """Even if nothing is written in this life."""
    oldest, newest = write_strangers(tmp_path)
    with looked_round(tmp_path, disk_bytes=FILE_BYTES):
        assert not oldest.exists()
        assert newest.exists()


def test_nothing_is_written_where_others_need_the_room(tmp_path: Path) -> None:
    """And other models' files are deleted; the completion has the missing bytes."""
    with file_system(tmp_path / "small", 500 * MIB) as folder:
        write_room = folder / OTHER_ROOT.hex() / f"{FIRST.key.hex()}.kv"
        write_room.parent.mkdir()
        write_room.write_bytes(STATE)
        with looked_round(folder) as disk:
            disk.write(FIRST)
            news = disk.news()

            assert isinstance(news, WriteDone)
            assert not news.done
            assert news.room_bytes < -10 * MIB
        assert files(folder) == []


def test_a_purge_removes_everything(tmp_path: Path) -> None:
    """Of all models; and nothing stands in the way of new blocks."""
    write_strangers(tmp_path)
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        disk.queue.purge()
        disk.written(SECOND)

        assert files(tmp_path) == [disk.path(SECOND)]
        assert disk.disk.foreign_bytes == 0


@pytest.mark.usefixtures("hasty")
def test_a_purge_removes_what_is_half_written(tmp_path: Path) -> None:
    """It was requested, and is done later."""
    with looked_round(tmp_path) as disk:
        with half_written(disk, FIRST):
            disk.queue.purge()
            until(lambda: files(tmp_path) == [])
        assert disk.written(SECOND)


def test_a_purge_that_fails_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody believes that it is gone."""
    with file_system(tmp_path / "small", 600 * MIB) as folder, looked_round(folder) as disk:
        disk.written(FIRST)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        disk.queue.purge()
        assert disk.read(FIRST) == STATE
    [record] = caplog.records
    assert "cannot be deleted" in record.getMessage()
    assert "by hand" in record.getMessage()


def lost(disk: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Check that the disk is not used, and that it was logged once."""
    assert disk.news() == DiskFailed()
    disk.write(SECOND)
    disk.queue.read(FIRST)
    assert not disk.queue._reads
    assert not disk.queue._writes
    [record] = caplog.records
    assert "no longer kept on disk" in record.getMessage()


def test_a_full_disk_is_told_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file is half-written; earlier ones can still be purged."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        with full_disk():
            disk.write(SECOND)
            lost(disk, caplog)
        assert files(tmp_path) == [disk.path(FIRST)]
        disk.queue.purge()
        until(lambda: files(tmp_path) == [])


@pytest.fixture
def looked_for_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look whether a lost disk is back all the time."""
    monkeypatch.setattr(queue_module, "RETRY_EVERY_S", 0.02)


@pytest.mark.usefixtures("looked_for_often")
def test_a_disk_that_has_room_again_is_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With its blocks; the failure is logged once, however often it is retried."""
    with looked_round(tmp_path) as disk:
        disk.written(FIRST)
        with full_disk():
            disk.write(SECOND)
            assert disk.news() == DiskFailed()
            # It retries, in vain, again and again.
            until(lambda: disk.queue._retry_at is None)
            until(lambda: disk.queue._retry_at is not None)
        found = disk.news()
        assert isinstance(found, ScanDone)
        assert [kept.block.key for kept in found.kept] == [FIRST.key]
        assert disk.written(SECOND)
        assert files(tmp_path) == sorted([disk.path(FIRST), disk.path(SECOND)])
    [lost_at, back] = [record.getMessage() for record in caplog.records]
    assert "no longer kept on disk" in lost_at
    assert "kept on disk again" in back


@pytest.mark.usefixtures("looked_for_often")
def test_what_could_not_be_purged_is_not_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A device was shut out while the disk could not be written: its words stay forgotten."""
    with file_system(tmp_path / "small", 600 * MIB) as folder, looked_round(folder) as disk:
        disk.written(FIRST)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        disk.write(SECOND)
        assert disk.news() == DiskFailed()
        disk.queue.purge()
        until(lambda: "cannot be deleted" in caplog.text)
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        found = disk.news()
        assert isinstance(found, ScanDone)
        assert found.kept == []
        assert files(folder) == []


def test_a_read_only_folder_is_told_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a card is that has worn out."""
    with file_system(tmp_path / "small", 600 * MIB) as folder, looked_round(folder) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        disk.write(FIRST)
        lost(disk, caplog)


def test_a_folder_that_cannot_be_made_is_told_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the start."""
    (tmp_path / "file").write_bytes(b"")
    with running(tmp_path / "file") as (disk, first):
        assert first == DiskFailed()
        disk.write(FIRST)
        assert not disk.queue._writes
    [record] = caplog.records
    assert "no longer kept on disk" in record.getMessage()


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    """Even while the engine seems to compute."""
    with looked_round(tmp_path) as disk:
        disk.queue.set_computing(computing=True)
        disk.write(FIRST, bytes(3 * PIECE_BYTES))
        disk.write(SECOND)
        paths = sorted([disk.path(FIRST), disk.path(SECOND)])
        assert disk.close()
        assert files(tmp_path) == paths


@pytest.mark.usefixtures("hasty")
def test_closing_without_time_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file nor the thread."""
    # The piece at hand takes as long as the disk takes for it.
    monkeypatch.setattr(disk_module, "_LAST_PIECE_S", DEADLINE_S)
    with looked_round(tmp_path) as disk, half_written(disk, FIRST):
        assert disk.close(0.0)
        assert files(tmp_path) == []
        assert "prefix-cache" not in [thread.name for thread in threading.enumerate()]


def test_closing_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has to end; a pipe without a writer hangs like any disk."""
    monkeypatch.setattr(disk_module, "_LAST_PIECE_S", 0.01)
    disk = Running(tmp_path, MIB, ROOT)
    disk.news()
    os.mkfifo(disk.path(FIRST))
    disk.queue.read(FIRST)
    until(lambda: not disk.queue._reads)
    assert not disk.close(0.0)

    with disk.path(FIRST).open("wb"):
        pass
    until(disk.close)
