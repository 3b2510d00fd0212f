"""What somebody waits for comes first, writing waits for a pause, and a purge voids all."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inglenook.engine.worker.prefix import io_queue as exchange_module
from inglenook.engine.worker.prefix.io_queue import IoQueue
from inglenook.engine.worker.prefix.io_requests import (
    ContinueWrite,
    DeleteAll,
    DeleteBlock,
    DiskFailed,
    ReadBlock,
    ReadDone,
    TouchBlock,
    Wish,
    WriteBlock,
    WriteDone,
)
from tests.engine.worker.prefix.keeping import DEADLINE_S, blocks_of, prompt

FIRST, SECOND, TAIL = blocks_of(prompt(300))


@pytest.fixture
def bell() -> Iterator[int]:
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    yield bell
    os.close(bell)


@pytest.fixture
def exchange(bell: int, monkeypatch: pytest.MonkeyPatch) -> IoQueue:
    """One whose patience no test outlasts, however long a machine stands still."""
    monkeypatch.setattr(exchange_module, "PATIENCE_S", 2 * DEADLINE_S)
    return IoQueue(bell)


@pytest.fixture
def hasty(exchange: IoQueue, monkeypatch: pytest.MonkeyPatch) -> float:
    """Patience that a test has too."""
    monkeypatch.setattr(exchange_module, "PATIENCE_S", 0.05)
    return 0.05


def write(number: int = 0) -> WriteBlock:
    return WriteBlock((FIRST, SECOND, TAIL)[number], b"state", 0)


def rest(exchange: IoQueue, *, writing: bool = False) -> list[Wish]:
    """All that is left to do, in its order."""
    exchange.end(DEADLINE_S)
    return list(iter(lambda: exchange.take(writing=writing), None))


def test_reads_come_first_then_chores_then_writes(exchange: IoQueue) -> None:
    """Whatever was wished for first; among themselves in their order."""
    exchange.write(write(0))
    exchange.write(write(1))
    exchange.delete(TAIL.key)
    exchange.read(TAIL)
    exchange.read(FIRST)

    taken = [exchange.take(writing=False) for _ in range(5)]
    assert taken == [ReadBlock(TAIL), ReadBlock(FIRST), DeleteBlock(TAIL.key), write(0), write(1)]


def test_a_block_is_finished_before_the_next_is_begun(exchange: IoQueue) -> None:
    """But reads come between its pieces."""
    exchange.write(write())
    exchange.read(TAIL)

    assert exchange.take(writing=True) == ReadBlock(TAIL)
    assert exchange.take(writing=True) == ContinueWrite()
    assert exchange.take(writing=False) == write()


def test_of_wishes_for_one_file_the_last_counts(exchange: IoQueue) -> None:
    """What is to go is not written first, and what is to be written is not removed first."""
    exchange.write(write(0))
    exchange.delete(FIRST.key)
    exchange.delete(SECOND.key)
    exchange.write(write(1))

    assert rest(exchange) == [DeleteBlock(FIRST.key), write(1)]


def test_files_that_are_written_or_removed_anyway_are_not_touched(exchange: IoQueue) -> None:
    """Nor any twice."""
    exchange.write(write(0))
    exchange.delete(SECOND.key)
    exchange.touch([FIRST.key, SECOND.key, TAIL.key, TAIL.key])

    assert rest(exchange) == [DeleteBlock(SECOND.key), TouchBlock(TAIL.key), write(0)]


def test_a_read_that_nobody_wants_any_more_is_not_done(exchange: IoQueue) -> None:
    """Somebody else's may wait behind it."""
    exchange.read(FIRST)
    exchange.read(SECOND)
    exchange.unread(FIRST.key)
    exchange.unread(b"never wished for")

    assert exchange.take(writing=False) == ReadBlock(SECOND)


@pytest.mark.parametrize("writing", [True, False])
def test_while_the_engine_computes_a_piece_waits_but_not_for_ever(
    exchange: IoQueue, hasty: float, writing: bool
) -> None:
    """A box that is always busy gets its blocks written too; each piece waits anew."""
    exchange.set_computing(computing=True)
    exchange.write(write(0))
    exchange.write(write(1))
    for _piece in range(2):
        before = time.monotonic()
        assert isinstance(exchange.take(writing=writing), ContinueWrite if writing else WriteBlock)
        assert time.monotonic() - before >= hasty


def test_what_nobody_waits_for_is_read_last(exchange: IoQueue) -> None:
    """Of two such wishes only the later is kept."""
    exchange.prefetch(SECOND)
    exchange.prefetch(FIRST)
    exchange.write(write(2))
    exchange.delete(SECOND.key)
    exchange.read(TAIL)

    taken = [exchange.take(writing=False) for _ in range(4)]
    assert taken == [ReadBlock(TAIL), DeleteBlock(SECOND.key), write(2), ReadBlock(FIRST)]
    assert rest(exchange) == []


def test_what_nobody_waits_for_is_not_read_while_the_engine_computes(exchange: IoQueue) -> None:
    """However long that takes; in the next pause it is."""
    exchange.set_computing(computing=True)
    exchange.prefetch(FIRST)
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(exchange.take, writing=False)
        exchange.read(TAIL)
        assert taken.result(DEADLINE_S) == ReadBlock(TAIL)
        taken = disk.submit(exchange.take, writing=False)
        exchange.set_computing(computing=False)
        assert taken.result(DEADLINE_S) == ReadBlock(FIRST)


def test_what_nobody_waits_for_can_be_taken_back(exchange: IoQueue) -> None:
    """And is not read any more at the end, nor after everything was forgotten."""
    exchange.prefetch(FIRST)
    exchange.prefetch(None)
    assert rest(exchange) == []


@pytest.mark.parametrize("end", [IoQueue.purge, IoQueue.lose])
def test_after_a_purge_or_a_loss_nothing_is_brought(
    exchange: IoQueue, end: Callable[[IoQueue], None]
) -> None:
    """There is nothing to bring."""
    exchange.prefetch(FIRST)
    end(exchange)

    assert [wish for wish in rest(exchange) if wish != DeleteAll()] == []


def test_what_is_being_read_is_not_read_again(exchange: IoQueue) -> None:
    """Whoever wants it by then gets it as soon; once it has come it can be read anew."""
    exchange.prefetch(FIRST)
    assert exchange.take(writing=False) == ReadBlock(FIRST)
    exchange.read(FIRST)
    exchange.read(TAIL)
    exchange.post(ReadDone(FIRST, b"state"))
    assert exchange.take(writing=False) == ReadBlock(TAIL)
    exchange.read(FIRST)
    assert exchange.take(writing=False) == ReadBlock(FIRST)


def test_a_block_that_is_wanted_by_now_is_read_at_once_and_once(exchange: IoQueue) -> None:
    """It moves to the front; if it is wanted no more, it moves back."""
    exchange.set_computing(computing=True)
    exchange.prefetch(FIRST)
    exchange.read(FIRST)
    exchange.unread(FIRST.key)
    exchange.read(TAIL)
    assert exchange.take(writing=False) == ReadBlock(TAIL)
    exchange.read(FIRST)
    assert exchange.take(writing=False) == ReadBlock(FIRST)
    exchange.set_computing(computing=False)

    assert rest(exchange) == []


def test_a_pause_in_computing_lets_writing_go_on(exchange: IoQueue) -> None:
    """At once."""
    exchange.set_computing(computing=True)
    exchange.write(write())
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(exchange.take, writing=False)
        exchange.set_computing(computing=False)
        assert taken.result(DEADLINE_S) == write()


@pytest.mark.parametrize("wish", [ReadBlock(TAIL), DeleteBlock(TAIL.key)], ids=["read", "delete"])
def test_what_takes_no_time_is_done_while_the_engine_computes(
    exchange: IoQueue, wish: ReadBlock | DeleteBlock
) -> None:
    """It does not wait behind a write that does."""
    exchange.set_computing(computing=True)
    exchange.write(write())
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(exchange.take, writing=False)
        if isinstance(wish, ReadBlock):
            exchange.read(wish.block)
        else:
            exchange.delete(wish.key)
        assert taken.result(DEADLINE_S) == wish


def test_at_the_end_what_waits_is_written_without_waiting(exchange: IoQueue) -> None:
    """Even if the engine was stopped in the middle of a step; nobody wants reads any more."""
    exchange.set_computing(computing=True)
    exchange.write(write())
    exchange.read(TAIL)

    assert rest(exchange) == [write()]


def test_after_the_deadline_nothing_more_is_written(exchange: IoQueue) -> None:
    """But what is to be forgotten is removed."""
    exchange.purge()
    exchange.write(write())
    exchange.end(0.0)

    assert exchange.take(writing=False) == DeleteAll()
    assert exchange.take(writing=True) is None


def test_the_end_wakes_one_who_waits(exchange: IoQueue) -> None:
    """With nothing left to do."""
    with ThreadPoolExecutor(1) as disk:
        taken = disk.submit(exchange.take, writing=False)
        exchange.end(DEADLINE_S)
        assert taken.result(DEADLINE_S) is None


def test_news_rings_the_bell(exchange: IoQueue, bell: int) -> None:
    """And is told once."""
    assert not select.select([bell], [], [], 0)[0]
    news = WriteDone(FIRST.key, True, 0)
    exchange.post(news)

    assert select.select([bell], [], [], 0)[0]
    assert exchange.news() == [news]
    assert exchange.news() == []


def test_a_purge_comes_before_everything_and_ends_all_other_wishes(exchange: IoQueue) -> None:
    """Nothing is written that should be forgotten; what is wished for afterwards is done."""
    exchange.read(FIRST)
    exchange.touch([SECOND.key])
    exchange.write(write(2))
    exchange.purge()
    exchange.write(write(0))

    assert rest(exchange) == [DeleteAll(), write(0)]


def test_a_purge_voids_news_of_what_was_before(exchange: IoQueue) -> None:
    """Also of what is being done just then."""
    news = WriteDone(FIRST.key, True, 0)
    exchange.write(write())
    exchange.take(writing=False)
    exchange.post(news)
    exchange.purge()
    exchange.post(news)

    assert exchange.news() == []
    exchange.take(writing=False)
    exchange.post(news)
    assert exchange.news() == [news]


def test_a_lost_disk_is_told_once_and_asked_for_nothing(exchange: IoQueue) -> None:
    """But to be emptied, if that should be possible."""
    exchange.read(FIRST)
    exchange.lose()
    exchange.lose()
    exchange.read(FIRST)
    exchange.write(write(1))
    exchange.delete(SECOND.key)
    exchange.touch([TAIL.key])
    exchange.purge()

    assert exchange.news() == [DiskFailed()]
    assert rest(exchange) == [DeleteAll()]
