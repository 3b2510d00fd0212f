"""Requested reads come first, writes wait for a pause, and a purge voids all."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inglenook.engine.worker.prefix import io_queue as queue_module
from inglenook.engine.worker.prefix.io_queue import IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    ContinueWrite,
    DeleteAll,
    DeleteBlock,
    DiskFailed,
    IoRequest,
    ReadBlock,
    ReadDone,
    TouchBlock,
    WriteBlock,
    WriteDone,
)
from tests.engine.worker.prefix.keeping import DEADLINE_S, blocks_of, prompt

FIRST, SECOND, TAIL = blocks_of(prompt(300))


@pytest.fixture
def event_fd() -> Iterator[int]:
    event_fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield event_fd
    os.close(event_fd)


@pytest.fixture
def queue(event_fd: int, monkeypatch: pytest.MonkeyPatch) -> IoQueue:
    """One whose patience no test outlasts, however long a machine stands still."""
    monkeypatch.setattr(queue_module, "WRITE_DELAY_MAX_S", 2 * DEADLINE_S)
    return IoQueue(event_fd)


@pytest.fixture
def hasty(queue: IoQueue, monkeypatch: pytest.MonkeyPatch) -> float:
    """Patience that a test has too."""
    monkeypatch.setattr(queue_module, "WRITE_DELAY_MAX_S", 0.05)
    return 0.05


def write(number: int = 0) -> WriteBlock:
    return WriteBlock((FIRST, SECOND, TAIL)[number], b"state", 0)


def rest(queue: IoQueue, *, writing: bool = False) -> list[IoRequest]:
    """All that is left to do, in its order."""
    queue.end(DEADLINE_S)
    return list(iter(lambda: queue.take(writing=writing), None))


def test_reads_come_first_then_chores_then_writes(queue: IoQueue) -> None:
    """Whichever was requested first; each kind in its order."""
    queue.write(write(0))
    queue.write(write(1))
    queue.delete(TAIL.key)
    queue.read(TAIL)
    queue.read(FIRST)

    taken = [queue.take(writing=False) for _ in range(5)]
    assert taken == [ReadBlock(TAIL), ReadBlock(FIRST), DeleteBlock(TAIL.key), write(0), write(1)]


def test_a_block_is_finished_before_the_next_is_begun(queue: IoQueue) -> None:
    """But reads come between its pieces."""
    queue.write(write())
    queue.read(TAIL)

    assert queue.take(writing=True) == ReadBlock(TAIL)
    assert queue.take(writing=True) == ContinueWrite()
    assert queue.take(writing=False) == write()


def test_of_wishes_for_one_file_the_last_counts(queue: IoQueue) -> None:
    """A block to delete is not written first, nor a block to write deleted first."""
    queue.write(write(0))
    queue.delete(FIRST.key)
    queue.delete(SECOND.key)
    queue.write(write(1))

    assert rest(queue) == [DeleteBlock(FIRST.key), write(1)]


def test_files_that_are_written_or_removed_anyway_are_not_touched(queue: IoQueue) -> None:
    """Nor any twice."""
    queue.write(write(0))
    queue.delete(SECOND.key)
    queue.touch([FIRST.key, SECOND.key, TAIL.key, TAIL.key])

    assert rest(queue) == [DeleteBlock(SECOND.key), TouchBlock(TAIL.key), write(0)]


def test_a_read_that_nobody_wants_any_more_is_not_done(queue: IoQueue) -> None:
    """Somebody else's may wait behind it."""
    queue.read(FIRST)
    queue.read(SECOND)
    queue.cancel_read(FIRST.key)
    queue.cancel_read(b"never wished for")

    assert queue.take(writing=False) == ReadBlock(SECOND)


@pytest.mark.parametrize("writing", [True, False])
def test_while_the_engine_computes_a_piece_waits_but_not_for_ever(
    queue: IoQueue, hasty: float, writing: bool
) -> None:
    """A box that is always busy gets its blocks written too; each piece waits anew."""
    queue.set_computing(computing=True)
    queue.write(write(0))
    queue.write(write(1))
    for _piece in range(2):
        before = time.monotonic()
        assert isinstance(queue.take(writing=writing), ContinueWrite if writing else WriteBlock)
        assert time.monotonic() - before >= hasty


def test_what_nobody_waits_for_is_read_last(queue: IoQueue) -> None:
    """Of two such requests only the later counts."""
    queue.prefetch(SECOND)
    queue.prefetch(FIRST)
    queue.write(write(2))
    queue.delete(SECOND.key)
    queue.read(TAIL)

    taken = [queue.take(writing=False) for _ in range(4)]
    assert taken == [ReadBlock(TAIL), DeleteBlock(SECOND.key), write(2), ReadBlock(FIRST)]
    assert rest(queue) == []


def test_what_nobody_waits_for_is_not_read_while_the_engine_computes(queue: IoQueue) -> None:
    """However long that takes; in the next pause it is."""
    queue.set_computing(computing=True)
    queue.prefetch(FIRST)
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(queue.take, writing=False)
        queue.read(TAIL)
        assert taken.result(DEADLINE_S) == ReadBlock(TAIL)
        taken = disk.submit(queue.take, writing=False)
        queue.set_computing(computing=False)
        assert taken.result(DEADLINE_S) == ReadBlock(FIRST)


def test_what_nobody_waits_for_can_be_taken_back(queue: IoQueue) -> None:
    """And is not read any more at the end, nor after everything was forgotten."""
    queue.prefetch(FIRST)
    queue.prefetch(None)
    assert rest(queue) == []


@pytest.mark.parametrize("end", [IoQueue.purge, IoQueue.set_failed])
def test_after_a_purge_or_a_loss_nothing_is_brought(
    queue: IoQueue, end: Callable[[IoQueue], None]
) -> None:
    """There is nothing to bring."""
    queue.prefetch(FIRST)
    end(queue)

    assert [io_request for io_request in rest(queue) if io_request != DeleteAll()] == []


def test_what_is_being_read_is_not_read_again(queue: IoQueue) -> None:
    """Whoever wants it by then gets it as soon; once it has come it can be read anew."""
    queue.prefetch(FIRST)
    assert queue.take(writing=False) == ReadBlock(FIRST)
    queue.read(FIRST)
    queue.read(TAIL)
    queue.post(ReadDone(FIRST, b"state"))
    assert queue.take(writing=False) == ReadBlock(TAIL)
    queue.read(FIRST)
    assert queue.take(writing=False) == ReadBlock(FIRST)


def test_a_block_that_is_wanted_by_now_is_read_at_once_and_once(queue: IoQueue) -> None:
    """It moves to the front; if it is wanted no more, it moves back."""
    queue.set_computing(computing=True)
    queue.prefetch(FIRST)
    queue.read(FIRST)
    queue.cancel_read(FIRST.key)
    queue.read(TAIL)
    assert queue.take(writing=False) == ReadBlock(TAIL)
    queue.read(FIRST)
    assert queue.take(writing=False) == ReadBlock(FIRST)
    queue.set_computing(computing=False)

    assert rest(queue) == []


def test_a_pause_in_computing_lets_writing_go_on(queue: IoQueue) -> None:
    """At once."""
    queue.set_computing(computing=True)
    queue.write(write())
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(queue.take, writing=False)
        queue.set_computing(computing=False)
        assert taken.result(DEADLINE_S) == write()


@pytest.mark.parametrize(
    "io_request", [ReadBlock(TAIL), DeleteBlock(TAIL.key)], ids=["read", "delete"]
)
def test_what_takes_no_time_is_done_while_the_engine_computes(
    queue: IoQueue, io_request: ReadBlock | DeleteBlock
) -> None:
    """It does not wait behind a write that does."""
    queue.set_computing(computing=True)
    queue.write(write())
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(queue.take, writing=False)
        if isinstance(io_request, ReadBlock):
            queue.read(io_request.block)
        else:
            queue.delete(io_request.key)
        assert taken.result(DEADLINE_S) == io_request


def test_at_the_end_what_waits_is_written_without_waiting(queue: IoQueue) -> None:
    """Even if the engine was stopped in the middle of a step; reads are dropped."""
    queue.set_computing(computing=True)
    queue.write(write())
    queue.read(TAIL)

    assert rest(queue) == [write()]


def test_after_the_deadline_nothing_more_is_written(queue: IoQueue) -> None:
    """But a purge is done."""
    queue.purge()
    queue.write(write())
    queue.end(0.0)

    assert queue.take(writing=False) == DeleteAll()
    assert queue.take(writing=True) is None


def test_the_end_wakes_one_who_waits(queue: IoQueue) -> None:
    """With nothing left to do."""
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(queue.take, writing=False)
        queue.end(DEADLINE_S)
        assert taken.result(DEADLINE_S) is None


def test_news_rings_the_bell(queue: IoQueue, event_fd: int) -> None:
    """Once."""
    assert not select.select([event_fd], [], [], 0)[0]
    news = WriteDone(FIRST.key, True, 0)
    queue.post(news)

    assert select.select([event_fd], [], [], 0)[0]
    assert queue.take_completions() == [news]
    assert queue.take_completions() == []


def test_a_purge_comes_before_everything_and_ends_all_other_wishes(queue: IoQueue) -> None:
    """No purged block is written; later requests are done."""
    queue.read(FIRST)
    queue.touch([SECOND.key])
    queue.write(write(2))
    queue.purge()
    queue.write(write(0))

    assert rest(queue) == [DeleteAll(), write(0)]


def test_a_purge_voids_news_of_what_was_before(queue: IoQueue) -> None:
    """Also of the request being performed just then."""
    news = WriteDone(FIRST.key, True, 0)
    queue.write(write())
    queue.take(writing=False)
    queue.post(news)
    queue.purge()
    queue.post(news)

    assert queue.take_completions() == []
    queue.take(writing=False)
    queue.post(news)
    assert queue.take_completions() == [news]


def test_a_lost_disk_is_told_once_and_asked_for_nothing(queue: IoQueue) -> None:
    """But to be emptied, if that should be possible."""
    queue.read(FIRST)
    queue.set_failed()
    queue.set_failed()
    queue.read(FIRST)
    queue.write(write(1))
    queue.delete(SECOND.key)
    queue.touch([TAIL.key])
    queue.purge()

    assert queue.take_completions() == [DiskFailed()]
    assert rest(queue) == [DeleteAll()]
