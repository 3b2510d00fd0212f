"""Received blocks are returned in order and without gaps."""

from __future__ import annotations

from inglenook.engine.worker.prefix.fetch import Fetch
from tests.engine.worker.prefix.keeping import blocks_of, prompt

PATH = blocks_of(prompt(300))
FIRST, SECOND, TAIL = PATH


def begun(tokens: int = 300) -> tuple[Fetch, list[Fetch]]:
    """A fetch, and where it says that it was cancelled."""
    cancelled: list[Fetch] = []
    return Fetch(PATH, tokens, cancelled.append), cancelled


def test_it_is_ready_when_all_is_there() -> None:
    """In whatever order it came."""
    fetch, _cancelled = begun()
    for block in (SECOND, TAIL, FIRST):
        assert not fetch.ready
        fetch.deliver(block.key, block.run)

    assert fetch.ready
    assert fetch.blocks == [
        (0, 128, FIRST.run),
        (128, 256, SECOND.run),
        (256, 300, TAIL.run),
    ]
    assert fetch.tokens == 300


def test_nothing_to_bring_is_ready_at_once() -> None:
    """No prompt was stored that begins so."""
    fetch = Fetch([], 0, lambda _fetch: None)

    assert fetch.ready
    assert (fetch.blocks, fetch.tokens) == ([], 0)


def test_what_is_there_can_be_used_before_the_rest() -> None:
    """When a request stops waiting; blocks beyond a gap cannot."""
    fetch, _cancelled = begun()
    fetch.deliver(FIRST.key, b"1")
    fetch.deliver(TAIL.key, b"3")

    assert fetch.blocks == [(0, 128, b"1")]
    assert fetch.tokens == 128
    assert fetch.lacking == [SECOND]
    assert fetch.lacks(SECOND.key)
    assert not fetch.lacks(FIRST.key)


def test_the_last_block_may_hold_more_than_is_shared() -> None:
    """Whoever uses it cuts that off."""
    fetch, _cancelled = begun(tokens=270)
    for block in PATH:
        fetch.deliver(block.key, block.run)

    assert fetch.blocks[-1] == (256, 300, TAIL.run)
    assert fetch.tokens == 270


def test_a_lost_block_ends_the_list_there() -> None:
    """Blocks after it are of no use, and not waited for."""
    fetch, _cancelled = begun()
    fetch.deliver(TAIL.key, b"3")
    fetch.deliver(FIRST.key, b"1")
    fetch.fail(SECOND.key)

    assert fetch.ready
    assert fetch.blocks == [(0, 128, b"1")]


def test_a_lost_first_block_leaves_nothing() -> None:
    """But an end."""
    fetch, _cancelled = begun()
    fetch.fail(FIRST.key)

    assert fetch.ready
    assert (fetch.blocks, fetch.tokens) == ([], 0)


def test_news_of_other_blocks_changes_nothing() -> None:
    """Every fetch receives every block; repeats and later failures change nothing."""
    fetch, _cancelled = begun()
    fetch.deliver(FIRST.key, b"1")
    fetch.deliver(FIRST.key, b"again")
    fetch.fail(FIRST.key)
    fetch.deliver(b"another", b"?")
    fetch.fail(b"another")

    assert fetch.blocks == [(0, 128, b"1")]
    assert fetch.lacking == [SECOND, TAIL]


def test_giving_up_keeps_what_is_there() -> None:
    """The disk is gone, blocks from it are not."""
    fetch, _cancelled = begun()
    fetch.deliver(FIRST.key, b"1")
    fetch.give_up()

    assert fetch.ready
    assert fetch.blocks == [(0, 128, b"1")]


def test_a_cancelled_fetch_holds_nothing() -> None:
    """The callback can still see the outstanding blocks."""
    fetch, cancelled = begun()
    fetch.deliver(FIRST.key, b"1")
    fetch.cancel()

    assert cancelled == [fetch]
    assert fetch.ready
    assert fetch.blocks == []
