"""Both tiers: bounds hold, the least recently used is evicted, blocks stay reachable."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.prefetch import PREFETCHED_CHAINS, prefetched, to_prefetch
from inglenook.engine.worker.prefix.tiers import (
    WAITING_BYTES_MAX,
    StoredBlock,
    Tiers,
)
from tests.engine.worker.prefix.keeping import MIB, ROOT, blocks_of, prompt

#: Of every block in these tests.
STATE_BYTES = 100
FILE_BYTES = 120

PLENTY = 2**40


def tiers(*, ram_bytes: int = PLENTY, disk_bytes: int = PLENTY, states: bool = False) -> Tiers:
    return Tiers(ROOT, ram_bytes=ram_bytes, disk_bytes=disk_bytes, states=states)


def put(held: Tiers, tokens: list[int], *, size_bytes: int = STATE_BYTES) -> bool:
    """Put the missing blocks of a prompt; returns whether all are stored."""
    return all(
        held.put(block, bytes(size_bytes), size_bytes + FILE_BYTES - STATE_BYTES)
        for block in blocks_of(tokens)
        if not held.index.covers(block)
    )


def write_all(held: Tiers) -> None:
    """The disk does all it was asked to."""
    for key in list(held._waiting):
        held.write_done(key, PLENTY, done=True)


def has(held: Tiers, tokens: list[int]) -> bool:
    return held.index.match(tokens)[1] == len(tokens)


def test_what_is_put_waits_in_memory_until_it_is_written() -> None:
    """It counts against both bounds from the start."""
    held = tiers()
    assert put(held, prompt(200))
    keys = [block.key for block in blocks_of(prompt(200))]

    assert all(held.is_waiting(key) for key in keys)
    assert (held.ram.used_bytes, held.disk.used_bytes) == (2 * STATE_BYTES, 2 * FILE_BYTES)
    write_all(held)
    assert not any(held.is_waiting(key) for key in keys)
    assert (held.ram.used_bytes, held.disk.used_bytes) == (2 * STATE_BYTES, 2 * FILE_BYTES)


def test_without_memory_of_its_own_what_is_written_leaves_it() -> None:
    """It is on the disk."""
    held = tiers(ram_bytes=0)
    put(held, prompt(200))
    assert held.ram.used_bytes == 2 * STATE_BYTES
    write_all(held)

    assert held.ram.used_bytes == 0
    assert has(held, prompt(200))


def test_without_a_disk_nothing_waits() -> None:
    """Memory is all there is."""
    held = tiers(disk_bytes=0)
    put(held, prompt(200))

    assert not held._waiting
    assert held.disk.used_bytes == 0


def test_with_neither_nothing_is_kept() -> None:
    """And that is said."""
    held = tiers(ram_bytes=0, disk_bytes=0)

    assert not put(held, prompt(10))
    assert len(held.index) == 0


def test_full_memory_drops_the_longest_unused_if_there_is_no_disk() -> None:
    """Use counts, not age."""
    held = tiers(ram_bytes=2 * STATE_BYTES, disk_bytes=0)
    put(held, prompt(10, seed=1))
    put(held, prompt(10, seed=2))
    held.touch(blocks_of(prompt(10, seed=1)))
    put(held, prompt(10, seed=3))

    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2, 3)] == [True, False, True]


def test_full_memory_loses_nothing_that_is_on_disk() -> None:
    """It is only further away."""
    held = tiers(ram_bytes=2 * STATE_BYTES)
    for seed in (1, 2, 3):
        put(held, prompt(10, seed=seed))
        write_all(held)

    assert held.ram.used_bytes == 2 * STATE_BYTES
    assert all(has(held, prompt(10, seed=seed)) for seed in (1, 2, 3))
    assert held.take_deletions() == []


@pytest.mark.parametrize(
    ("ram_bytes", "size_bytes", "fit"),
    [(10 * STATE_BYTES, STATE_BYTES, 10), (0, 8 * MIB, WAITING_BYTES_MAX // (8 * MIB))],
)
def test_while_memory_is_full_of_what_waits_nothing_new_is_taken(
    ram_bytes: int, size_bytes: int, fit: int
) -> None:
    """What came first will be written; the newest is dropped."""
    held = tiers(ram_bytes=ram_bytes)
    taken = [put(held, prompt(10, seed=seed), size_bytes=size_bytes) for seed in range(fit + 1)]

    assert taken == [True] * fit + [False]
    write_all(held)
    assert put(held, prompt(10, seed=fit), size_bytes=size_bytes)


def test_a_full_disk_tier_lets_the_longest_unused_go() -> None:
    """From the disk; blocks in RAM, too, stay there."""
    held = tiers(disk_bytes=2 * FILE_BYTES)
    for seed in (1, 2, 3):
        put(held, prompt(10, seed=seed))
        write_all(held)
    [oldest] = blocks_of(prompt(10, seed=1))

    assert held.take_deletions() == [oldest.key]
    assert held.take_deletions() == []
    assert has(held, prompt(10, seed=1))


def test_what_leaves_its_last_tier_is_forgotten() -> None:
    """Nothing is promised that cannot be had."""
    held = tiers(ram_bytes=0, disk_bytes=2 * FILE_BYTES)
    for seed in (1, 2, 3):
        put(held, prompt(10, seed=seed))
        write_all(held)

    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2, 3)] == [False, True, True]


def test_a_conversation_too_long_for_its_bounds_is_kept_from_its_beginning() -> None:
    """Others share the prefix, and no block is of use without it."""
    held = tiers(ram_bytes=3 * STATE_BYTES, disk_bytes=0)
    assert not put(held, prompt(1000))

    assert held.index.match(prompt(1000))[1] == 3 * 128


def test_a_grown_conversation_leaves_no_old_tail() -> None:
    """Neither in memory nor on disk."""
    held = tiers()
    put(held, prompt(150))
    write_all(held)
    put(held, prompt(200))
    tail = blocks_of(prompt(150))[-1]

    assert held.take_deletions() == [tail.key]
    assert held.ram.used_bytes == 2 * STATE_BYTES
    assert held.disk.used_bytes == 2 * FILE_BYTES


def test_a_smaller_bound_holds_at_once() -> None:
    """Blocks on disk stay there, waiting ones are evicted last."""
    held = tiers()
    put(held, prompt(10, seed=1))
    write_all(held)
    put(held, prompt(10, seed=2))
    held.touch(blocks_of(prompt(10, seed=1)))
    held.set_ram_bytes(STATE_BYTES)

    assert held.ram.used_bytes == STATE_BYTES
    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2)] == [True, True]
    held.set_ram_bytes(STATE_BYTES - 1)
    assert held.ram.used_bytes == 0
    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2)] == [True, False]
    assert held.take_deletions() == [blocks_of(prompt(10, seed=2))[0].key]


def test_memory_that_is_taken_away_may_still_hold_what_waits() -> None:
    """But not blocks that are written already."""
    held = tiers()
    put(held, prompt(10, seed=1))
    write_all(held)
    put(held, prompt(10, seed=2))
    held.set_ram_bytes(0)

    assert held.ram.used_bytes == STATE_BYTES
    assert all(has(held, prompt(10, seed=seed)) for seed in (1, 2))


def test_a_block_there_was_no_room_for_stays_in_memory() -> None:
    """As long as that has room."""
    held = tiers()
    put(held, prompt(10))
    [block] = blocks_of(prompt(10))
    held.write_done(block.key, STATE_BYTES, done=False)

    assert (held.ram.used_bytes, held.disk.used_bytes) == (STATE_BYTES, 0)
    assert has(held, prompt(10))
    held.set_ram_bytes(0)
    assert not has(held, prompt(10))


def test_a_file_system_that_fills_up_is_given_room_back() -> None:
    """Others write to it, too; the least recently used block is evicted."""
    held = tiers(ram_bytes=0)
    for seed in (1, 2, 3):
        put(held, prompt(10, seed=seed))
        write_all(held)
    put(held, prompt(10, seed=4))
    held.write_done(blocks_of(prompt(10, seed=4))[0].key, -FILE_BYTES - 1, done=True)

    assert held.disk.used_bytes == 2 * FILE_BYTES
    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2, 3, 4)] == [False, False, True, True]


def kept(tokens: list[int], used_ns: int) -> Iterator[StoredBlock]:
    for block in blocks_of(tokens):
        yield StoredBlock(block, FILE_BYTES, used_ns + block.start)


def test_an_earlier_lifes_blocks_are_found_in_the_order_of_their_use() -> None:
    """In whatever order the folder names them."""
    held = tiers(disk_bytes=3 * FILE_BYTES)
    held.scan_done(
        [*kept(prompt(200, seed=2), 2000), *kept(prompt(200, seed=1), 1000)][::-1], PLENTY
    )

    # The tail of the older went, for the bound.
    assert held.take_deletions() == [blocks_of(prompt(200, seed=1))[1].key]
    assert has(held, prompt(200, seed=2))
    assert has(held, prompt(128, seed=1))


def test_blocks_out_of_reach_are_removed() -> None:
    """Their beginning is gone, so they are of no use."""
    held = tiers()
    [first, *rest] = kept(prompt(300), 0)
    held.scan_done(rest, PLENTY)

    assert sorted(held.take_deletions()) == sorted(file.block.key for file in rest)
    assert len(held.index) == 0
    assert first.block.key not in held.disk


def test_a_tail_that_was_not_removed_in_time_is_removed_now() -> None:
    """The power went between the longer one and its removal."""
    held = tiers()
    held.scan_done([*kept(prompt(200), 2000), *kept(prompt(150), 1000)], PLENTY)

    assert held.take_deletions() == [blocks_of(prompt(150))[-1].key]
    assert has(held, prompt(200))


def test_what_came_in_before_the_disk_was_known_counts_as_newer() -> None:
    """And is not lost for having been there before."""
    held = tiers(ram_bytes=0, disk_bytes=2 * FILE_BYTES)
    put(held, prompt(10, seed=1))
    held.scan_done([*kept(prompt(10, seed=1), 0), *kept(prompt(10, seed=2), PLENTY)], PLENTY)
    put(held, prompt(10, seed=3))

    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2, 3)] == [True, False, True]


def test_a_block_from_disk_is_in_memory_from_then_on() -> None:
    """Somebody just used it."""
    held = tiers()
    held.scan_done(kept(prompt(10), 0), PLENTY)
    [block] = blocks_of(prompt(10))
    held.read_done(block, b"state")

    assert held.ram.payload(block.key) == b"state"
    held.read_done(block, b"again")
    assert held.ram.used_bytes == len(b"state")


def test_a_block_from_disk_is_not_kept_where_memory_has_no_room_of_its_own() -> None:
    """It passes through."""
    held = tiers(ram_bytes=0)
    held.scan_done(kept(prompt(10), 0), PLENTY)
    [block] = blocks_of(prompt(10))
    held.read_done(block, b"state")

    assert held.ram.used_bytes == 0


def prefetch_all(held: Tiers) -> list[bytes]:
    """Prefetch all blocks that are due, in order."""
    keys = []
    while (block := to_prefetch(held)) is not None:
        assert block.key not in keys
        prefetched(held, block, bytes(STATE_BYTES))
        keys.append(block.key)
    return keys


def keys_of(*prompts: list[int]) -> list[bytes]:
    return [block.key for tokens in prompts for block in blocks_of(tokens)]


def test_the_last_conversation_comes_back_first_and_from_its_beginning() -> None:
    """A request that continues it needs that; blocks used later are evicted later."""
    older, newer = prompt(300, seed=1), prompt(200, seed=2)
    held = tiers()
    held.scan_done([*kept(older, 1000), *kept(newer, 2000)], PLENTY)

    assert prefetch_all(held) == keys_of(newer, older)
    assert list(held.ram) == keys_of(newer, older)[::-1]


def test_what_conversations_share_comes_back_once() -> None:
    """As a part of the last one."""
    system = prompt(128)
    older, newer = system + prompt(50, seed=1), system + prompt(50, seed=2)
    held = tiers()
    held.scan_done([*kept(older, 1000), *kept(newer, 2000)], PLENTY)

    assert prefetch_all(held) == [*keys_of(newer), keys_of(older)[1]]


def test_what_comes_back_fills_half_of_memory_at_most() -> None:
    """As many prefixes as fit; the rest of the room is for requests."""
    held = tiers(ram_bytes=6 * FILE_BYTES + 1)
    held.scan_done([*kept(prompt(200, seed=1), 1000), *kept(prompt(200, seed=2), 2000)], PLENTY)

    assert prefetch_all(held) == [*keys_of(prompt(200, seed=2)), *keys_of(prompt(128, seed=1))]


def test_only_the_last_conversations_come_back() -> None:
    """At each wake-up, so reads are bounded."""
    held = tiers()
    prompts = [prompt(10, seed=seed) for seed in range(PREFETCHED_CHAINS + 1)]
    held.scan_done(
        [file for used, tokens in enumerate(prompts) for file in kept(tokens, used)], PLENTY
    )

    assert prefetch_all(held) == keys_of(*prompts[:0:-1])


def test_without_memory_of_its_own_nothing_comes_back() -> None:
    """Nor where RAM is full of requested or unwritten blocks."""
    for ram_bytes in (0, 2 * STATE_BYTES):
        held = tiers(ram_bytes=ram_bytes)
        held.scan_done(kept(prompt(10, seed=1), 0), PLENTY)
        put(held, prompt(10, seed=2))

        assert prefetch_all(held) == []


def test_what_comes_back_too_late_is_dropped() -> None:
    """RAM is full, the block was fetched by now, or it was purged."""
    [block] = blocks_of(prompt(10))
    held = tiers(ram_bytes=2 * STATE_BYTES)
    prefetched(held, block, bytes(STATE_BYTES))
    held.scan_done(kept(prompt(10), 0), PLENTY)
    prefetched(held, block, bytes(STATE_BYTES + 1))
    assert held.ram.used_bytes == 0

    held.read_done(block, bytes(STATE_BYTES))
    prefetched(held, block, b"late")
    assert held.ram.used_bytes == STATE_BYTES


def test_what_comes_back_before_what_follows_it_in_memory_does_not_go_before_it() -> None:
    """The blocks after it would be useless."""
    first, second = blocks_of(prompt(200))
    held = tiers()
    held.scan_done(kept(prompt(200), 0), PLENTY)
    held.read_done(second, bytes(STATE_BYTES))
    prefetched(held, first, bytes(STATE_BYTES))

    assert list(held.ram) == [second.key, first.key]


def test_a_damaged_block_takes_what_is_below_with_it() -> None:
    """It could not be put into a pool any more."""
    held = tiers()
    held.scan_done(kept(prompt(300), 0), PLENTY)
    blocks = blocks_of(prompt(300))
    held.read_failed(blocks[1])

    assert held.index.match(prompt(300))[1] == 128
    assert sorted(held.take_deletions()) == sorted(block.key for block in blocks[1:])


def test_a_damaged_file_is_no_loss_while_memory_has_the_block() -> None:
    """It came back in while the file was being read."""
    held = tiers()
    put(held, prompt(10))
    held.read_failed(blocks_of(prompt(10))[0])

    assert has(held, prompt(10))


def test_without_its_disk_the_cache_has_what_is_in_memory() -> None:
    """What waited stays, and nothing waits any more."""
    held = tiers()
    held.scan_done(kept(prompt(10, seed=1), 0), PLENTY)
    put(held, prompt(10, seed=2))
    held.disk_failed()

    assert [has(held, prompt(10, seed=seed)) for seed in (1, 2)] == [False, True]
    assert held.disk.used_bytes == 0
    assert held.take_deletions() == []
    put(held, prompt(10, seed=3))
    assert not held._waiting


def test_files_are_told_of_their_use_deepest_first() -> None:
    """So that a parent's time is never before its child's; unwritten blocks have no file."""
    held = tiers()
    put(held, prompt(200))
    write_all(held)
    put(held, prompt(300))
    keys = [block.key for block in blocks_of(prompt(300))]

    assert held.touch(blocks_of(prompt(300))) == [keys[0]]
    write_all(held)
    assert held.touch(blocks_of(prompt(300))) == keys[::-1]


def test_a_state_is_kept_beside_its_longer_ones() -> None:
    """It is of use where those are not."""
    held = tiers(states=True)
    for length in (150, 200):
        for block in blocks_of(prompt(length), states=True):
            assert held.put(block, bytes(STATE_BYTES), FILE_BYTES)

    assert held.index.match(prompt(180))[1] == 150


def test_everything_can_be_forgotten() -> None:
    """And it begins anew."""
    held = tiers()
    put(held, prompt(200))
    held.forget_all()

    assert (len(held.index), held.ram.used_bytes, held.disk.used_bytes) == (0, 0, 0)
    assert not held._waiting
    assert put(held, prompt(200))


TREE = [prompt(length, seed) for seed in (1, 2) for length in (100, 200, 300)]


def grow(held: Tiers, number: int) -> None:
    put(held, TREE[number % len(TREE)])


def use(held: Tiers, number: int) -> None:
    held.touch(held.index.match(TREE[number % len(TREE)])[0])


def write(held: Tiers, number: int) -> None:
    if held._waiting:
        key = sorted(held._waiting)[number % len(held._waiting)]
        held.write_done(key, number * STATE_BYTES, done=number % 4 > 0)


def bring(held: Tiers, number: int) -> None:
    on_disk = sorted(set(held.disk) - set(held._waiting))
    if on_disk:
        block = held.index._blocks[on_disk[number % len(on_disk)]]
        if number % 5:
            held.read_done(block, bytes(STATE_BYTES))
        else:
            held.read_failed(block)


def bring_back(held: Tiers, number: int) -> None:
    block = to_prefetch(held)
    if block is not None:
        assert block.key in set(held.disk) - set(held._waiting)
        prefetched(held, block, bytes(STATE_BYTES))


def squeeze(held: Tiers, number: int) -> None:
    held.set_ram_bytes(number % 8 * STATE_BYTES)


def find(held: Tiers, number: int) -> None:
    held.scan_done(kept(TREE[number % len(TREE)], number), PLENTY)


def lose(held: Tiers, number: int) -> None:
    if number == 0:
        held.disk_failed()


OPERATIONS: list[Callable[[Tiers, int], None]] = [
    grow,
    use,
    write,
    bring,
    bring_back,
    squeeze,
    find,
    lose,
]


@given(
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 40)), max_size=25),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_whatever_happens_bounds_hold_and_all_is_within_reach(
    operations: list[tuple[Callable[[Tiers, int], None], int]], ram_blocks: int, disk_blocks: int
) -> None:
    """After every operation: bytes, tiers, tree and order agree."""
    disk_bytes = disk_blocks * FILE_BYTES
    held = tiers(ram_bytes=ram_blocks * STATE_BYTES, disk_bytes=disk_bytes)
    for operation, number in operations:
        operation(held, number)

        waiting = set(held._waiting)
        assert held.ram.used_bytes == STATE_BYTES * len(list(held.ram))
        assert held.disk.used_bytes == FILE_BYTES * len(list(held.disk)) <= disk_bytes
        assert held.ram.used_bytes <= (held.ram_bytes or STATE_BYTES * len(waiting))
        assert waiting <= set(held.ram) & set(held.disk)
        assert set(held.index._blocks) == set(held.ram) | set(held.disk)
        assert_within_reach(held, list(held.index._blocks.values()))
        assert set(held.take_deletions()).isdisjoint(held.disk)


def assert_within_reach(held: Tiers, blocks: list[Block]) -> None:
    """Every block's parent is stored, and is evicted after it."""
    for tier in (held.ram, held.disk):
        order = {key: place for place, key in enumerate(tier)}
        for block in blocks:
            assert held.index.is_reachable(block)
            if block.key in order and block.parent in order:
                assert order[block.key] < order[block.parent]
