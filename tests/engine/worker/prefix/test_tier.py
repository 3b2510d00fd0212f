"""The least recently used is evicted first, never a parent before its child."""

from __future__ import annotations

from inglenook.engine.worker.prefix.tier import Tier
from tests.engine.worker.prefix.keeping import blocks_of, prompt

FIRST, SECOND, TAIL = blocks_of(prompt(300))
[OTHER] = blocks_of(prompt(100, seed=1))


def tier() -> Tier:
    """A conversation, put in as it grows, then another."""
    tier = Tier()
    path = []
    for block in (FIRST, SECOND, TAIL):
        path.append(block)
        tier.put(block.key, 10)
        tier.touch(path)
    tier.put(OTHER.key, 5, b"state")
    return tier


def test_children_go_before_their_parents() -> None:
    """Though they came later."""
    assert list(tier()) == [TAIL.key, SECOND.key, FIRST.key, OTHER.key]


def test_what_is_put_in_as_the_oldest_goes_first() -> None:
    """Before all that was there."""
    held = tier()
    held.discard(FIRST.key)
    held.put(FIRST.key, 10, oldest=True)

    assert list(held) == [FIRST.key, TAIL.key, SECOND.key, OTHER.key]


def test_a_used_path_goes_last() -> None:
    """All of it, the deepest first; descendants are evicted before."""
    held = tier()
    held.touch([FIRST, SECOND])

    assert list(held) == [TAIL.key, OTHER.key, SECOND.key, FIRST.key]


def test_what_is_not_held_is_not_touched() -> None:
    """A path may be partly elsewhere."""
    held = tier()
    held.discard(SECOND.key)
    held.touch([FIRST, SECOND, TAIL])

    assert list(held) == [OTHER.key, TAIL.key, FIRST.key]


def test_bytes_are_counted_while_they_are_held() -> None:
    """Once in, once out."""
    held = tier()

    assert held.used_bytes == 35
    assert held.sum_bytes([FIRST.key, OTHER.key, b"not held"]) == 15
    assert held.discard(OTHER.key)
    assert not held.discard(OTHER.key)
    assert held.used_bytes == 30


def test_a_payload_is_there_as_long_as_its_block() -> None:
    """And no longer: payloads fill the RAM."""
    held = tier()

    assert held.payload(OTHER.key) == b"state"
    assert held.payload(FIRST.key) is None
    held.discard(OTHER.key)
    assert held.payload(OTHER.key) is None
